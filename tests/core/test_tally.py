"""Counts of what was wrong with rows: sums, first lines, and a bound."""

from __future__ import annotations

from server.core.tally import KINDS_MAX, OTHER_CODE, Kind, Tally


def test_rows_of_one_kind_are_summed_with_their_first_line() -> None:
    tally = Tally().plus([Kind("bad_cast", "price", 2, 9)]).plus([Kind("bad_cast", "price", 1, 4), Kind("x", "", 1, 0)])
    assert tally.kinds == (Kind("bad_cast", "price", 3, 4), Kind("x", "", 1, 0))


def test_codes_are_told_whatever_the_column_the_commonest_first() -> None:
    found = [Kind("late", "", 2, 8), Kind("a", "x", 1, 5), Kind("a", "y", 2, 3), Kind("early", "", 2, 7)]
    assert [(kind.code, kind.count, kind.first_line) for kind in Tally().plus(found).by_code()] == [
        ("a", 3, 3),
        ("early", 2, 7),
        ("late", 2, 8),
    ]


def test_kinds_beyond_the_bound_are_one() -> None:
    tally = Tally()
    for number in range(3 * KINDS_MAX):
        tally = tally.plus([Kind("bad_cast", f"c{number}", 1, number + 2)])
    assert len(tally.kinds) == KINDS_MAX
    assert tally.count(OTHER_CODE) == 2 * KINDS_MAX + 1
    assert sum(kind.count for kind in tally.kinds) == 3 * KINDS_MAX


def test_what_is_skipped_keeps_a_kind_of_its_own_so_that_either_sums_to_the_ledger() -> None:
    tally = Tally().plus(Kind(f"code{number}", "c", 2, number) for number in range(1, 3 * KINDS_MAX))
    tally = tally.plus(
        [Kind("duplicate_key", "", 5, 7), Kind("conflict", "price", 4, 2), Kind("conflict", "year", 1, 9)]
    )
    groups = tally.groups()
    assert sum(kind.count for kind in groups if kind.is_rejected) == 2 * (3 * KINDS_MAX - 1)
    assert [(kind.code, kind.count, kind.first_line) for kind in groups if kind.is_skipped] == [
        ("conflict", 5, 2),
        ("duplicate_key", 5, 7),
    ]
    assert groups[0].code == OTHER_CODE


def test_a_checkpoint_holds_it() -> None:
    tally = Tally().plus([Kind("bad_cast", "price", 2, 9), Kind("duplicate_key", "", 1, 3)])
    assert Tally.from_json(tally.to_json()) == tally
