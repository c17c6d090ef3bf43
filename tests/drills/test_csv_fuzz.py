"""A little of the fuzz drill in every test run; `python -m tests.drills.csv_fuzz` is the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills.csv_fuzz import check


@pytest.mark.parametrize("first", range(1, 161, 20))
async def test_damaged_files_are_read_without_a_crash_and_with_an_exact_ledger(tmp_path: Path, first: int) -> None:
    for number in range(first, first + 20):
        _outcome, _seconds, wrong = await check(tmp_path, number)
        assert wrong == [], f"seed {number}"
