"""One plan of each fault in every test run; `python -m tests.drills.api_faults` tries more."""

from __future__ import annotations

from pathlib import Path

from tests.drills.api_faults import FAULTS, Plan, drill


def test_no_fault_of_a_source_completes_a_run_wrongly_or_loses_a_row(tmp_path: Path) -> None:
    with drill(tmp_path) as running:
        for number in range(len(FAULTS)):
            _ending, wrong = running.check(number)
            assert wrong == [], f"seed {number}: {Plan.made(number).fault}"
