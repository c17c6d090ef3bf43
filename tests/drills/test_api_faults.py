"""One plan of each fault in every test run; `python -m tests.drills.api_faults` tries more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills.api_faults import FAULTS, Drill, drill


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """The program, and a source for every plan."""
    with drill(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[fault.replace(" ", "-") for fault in FAULTS])
def test_no_fault_of_a_source_completes_a_run_wrongly_or_loses_a_row(running: Drill, number: int) -> None:
    _ending, wrong = running.check(number)
    assert wrong == []
