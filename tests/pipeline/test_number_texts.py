"""What a person is told of a number that is not read: the form, what is seen, and the option that reads it."""

from __future__ import annotations

import pytest

from server.pipeline.number_texts import decimal_fault, integer_fault
from server.pipeline.prepare import prepare
from server.targets.base import TargetColumn
from tests.pipeline.builders import make_batch, make_plan, make_target

KEY = TargetColumn("k", "text")
PRICE = TargetColumn("price", "decimal", precision=10, scale=2)
COUNT = TargetColumn("count", "integer", minimum="0", maximum="2147483647")
SET_TRUE, SET_FALSE = "set options.decimalComma to true", "set options.decimalComma to false"
NO_OPTION = "is read by no option"


@pytest.mark.parametrize(
    ("text", "decimal_comma", "said", "unsaid"),
    [
        ("69.900", False, [SET_TRUE, "may mean thousands", "write 69.90"], [SET_FALSE]),
        ("-1.000", False, [SET_TRUE, "may mean thousands"], []),
        ("69,900", True, ["may mean thousands", "which no option reads"], [SET_TRUE, SET_FALSE]),
        ("$ 69.900", False, [SET_TRUE, "may mean thousands", "leave out what stands around"], []),
        ("$ 69.900", True, ["leave out what stands around", "69.900,50", "no currency"], [SET_TRUE, SET_FALSE]),
        ("1.299.900", False, [SET_TRUE, "group"], []),
        ("1.234,50", False, [SET_TRUE], []),
        ("69,9", False, [SET_TRUE], []),
        ("1,234.50", False, [NO_OPTION, "commas"], [SET_TRUE, SET_FALSE]),
        ("1,234.50", True, [NO_OPTION, "commas"], [SET_TRUE, SET_FALSE]),
        ("1,234,567", False, [NO_OPTION, "commas"], [SET_TRUE]),
        ("69900.50", True, [SET_FALSE], [SET_TRUE]),
        ("1 234,50", False, [NO_OPTION, "blanks"], [SET_TRUE]),
        ("1\u00a0234", False, [NO_OPTION, "blanks"], [SET_TRUE]),
        ("1\u202f234", True, [NO_OPTION, "blanks"], [SET_FALSE]),
        ("1'234.50", False, [NO_OPTION, "apostrophes"], [SET_TRUE]),
        ("\u221269900", False, ["with - before its first digit"], [SET_TRUE]),
        ("(69900)", False, ["with - before its first digit"], [SET_TRUE]),
        ("7.70212E+12", False, ["exponent"], [SET_TRUE]),
        ("free", False, ["no digit"], [SET_TRUE, "around"]),
        ("69.900", None, ["may mean thousands"], ["options."]),
        ("1.234,50", None, ["no grouping"], ["options."]),
    ],
)
def test_a_decimal_that_is_not_read(text: str, decimal_comma: bool | None, said: list[str], unsaid: list[str]) -> None:
    told = decimal_fault("price", text, decimal_comma=decimal_comma)
    assert [part for part in ["digits", *said] if part not in told] == []
    assert [part for part in unsaid if part in told] == []


@pytest.mark.parametrize(
    ("text", "decimal_comma", "said", "unsaid"),
    [
        ("3.000", False, [SET_TRUE, "may mean thousands"], []),
        ("3,000", True, ["may mean thousands", "which no option reads"], [SET_TRUE, SET_FALSE]),
        ("3,000", False, [NO_OPTION], [SET_TRUE]),
        ("1.000.000", False, [SET_TRUE], []),
        ("16,0", False, [SET_TRUE], []),
        ("16.0", True, [SET_FALSE], []),
        ("16.5", False, ["digits"], [SET_TRUE, "around"]),
        ("16 GB", False, ["around"], [SET_TRUE]),
        ("3 000", False, [NO_OPTION, "blanks"], [SET_TRUE]),
    ],
)
def test_a_whole_number_that_is_not_read(
    text: str, decimal_comma: bool | None, said: list[str], unsaid: list[str]
) -> None:
    told = integer_fault("count", text, decimal_comma=decimal_comma)
    assert [part for part in said if part not in told] == []
    assert [part for part in unsaid if part in told] == []


@pytest.mark.parametrize(
    ("column", "text", "decimal_comma", "stored"),
    [
        (PRICE, "69.900", True, "69900.00"),
        (PRICE, "1.299.900", True, "1299900.00"),
        (PRICE, "1.234,50", True, "1234.50"),
        (PRICE, "69900.50", False, "69900.50"),
        (COUNT, "3.000", True, "3000"),
        (COUNT, "16,0", True, "16"),
        (COUNT, "16.0", False, "16"),
    ],
)
def test_the_advice_when_followed_stores_the_number(
    column: TargetColumn, text: str, decimal_comma: bool, stored: str
) -> None:
    batch = make_batch({"k": ["key"], column.name: [text]})
    without, with_it = (
        prepare(batch, make_plan(make_target(KEY, column), ["k", column.name], decimal_comma=choice))
        for choice in (not decimal_comma, decimal_comma)
    )
    assert f"set options.decimalComma to {str(decimal_comma).lower()}" in without.rejects[0].message
    assert with_it.rows[column.name].to_list() == [stored]


def test_each_refused_row_is_told_of_its_own_value() -> None:
    batch = make_batch({"k": ["a", "b", "c", "d"], "price": ["69.900", "1", "1 0", "69,9"]})
    told = [reject.message for reject in prepare(batch, make_plan(make_target(KEY, PRICE), ["k", "price"])).rejects]
    assert ["thousands" in told[0], "blanks" in told[1], "decimal comma" in told[2]] == [True, True, True]


def test_a_column_of_three_decimals_takes_them() -> None:
    column = TargetColumn("v", "decimal", precision=9, scale=3)
    found = prepare(make_batch({"k": ["a"], "v": ["69.900"]}), make_plan(make_target(KEY, column), ["k", "v"]))
    assert found.rows["v"].to_list() == ["69.900"]
