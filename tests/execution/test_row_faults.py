"""Why rows are missing, in words."""

from __future__ import annotations

import pytest

from db.records import Ledger
from server.core.tally import Kind, Tally
from server.execution.row_faults import RowFaults

WIDE = Kind("too_many_columns", "", 3, 7)
BAD = Kind("bad_encoding", "title", 3, 7)
DOUBLE = Kind("duplicate_key", "", 4, 2)
SHORT = Kind("shortened_key", "external_id", 9, 2)


def faults(*kinds: Kind, said: dict[str, str] | None = None, source_type: str = "csv") -> RowFaults:
    tally = Tally().plus(kinds)
    messages = {kind: said[kind.code] for kind in tally.by_code() if said and kind.code in said}
    return RowFaults(tally, messages, source_type)


def test_an_option_is_named_where_the_reject_names_none() -> None:
    assert "check options.delimiter" in faults(WIDE).why_rejected()
    named = faults(WIDE, said={"too_many_columns": "set options.x to y"}).why_rejected()
    assert named == ": 3 too_many_columns, first on line 7; line 7: set options.x to y"
    assert "options." not in faults(WIDE, source_type="api").why_rejected()


def test_what_a_reader_says_of_bytes_that_do_not_decode_is_all() -> None:
    # Another encoding would damage the other rows of a file of which few lines are damaged.
    assert "options." not in faults(BAD, said={"bad_encoding": "this line is damaged"}).why_rejected()


def test_a_long_message_is_cut_and_many_kinds_are_summed() -> None:
    kinds = [Kind(f"k{number}", "", 20 - number, number) for number in range(8)]
    why = faults(*kinds, said={"k0": "x" * 5000}).why_rejected()
    assert ", 42 of other kinds; " in why
    assert len(why) < 1000


@pytest.mark.parametrize(
    ("ledger", "beginnings"),
    [
        (Ledger(read=40, inserted=36, skipped=4), []),
        (Ledger(read=39, inserted=35, skipped=4), ["4 skipped of 39 rows: 4 duplicate_key, first on line 2"]),
        (Ledger(read=40, inserted=33, skipped=4, rejected=3), ["4 skipped and 3 rejected of 40 rows: 4 duplicate_key"]),
        (Ledger(), []),
    ],
)
def test_a_share_of_missing_rows_is_told(ledger: Ledger, beginnings: list[str]) -> None:
    found = faults(DOUBLE, BAD).notices(ledger, 0.1)
    assert len(found) == len(beginnings)
    assert [one for one, beginning in zip(found, beginnings, strict=True) if not one.startswith(beginning)] == []


def test_what_was_skipped_without_a_known_reason_is_told_by_its_count() -> None:
    assert faults().notices(Ledger(read=10, unchanged=5, skipped=5), 0.1) == ("5 skipped of 10 rows",)


def test_shortened_keys_are_told_whatever_the_share() -> None:
    (notice,) = faults(SHORT).notices(Ledger(read=90, inserted=90), 0.1)
    assert notice.startswith("'external_id' looks like numbers that a spreadsheet has shortened")
    assert "in 9 rows, first on line 2" in notice
