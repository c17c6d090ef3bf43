"""What a person is told of a number that is not read: the form, what is in the way, and the options that read it."""

from __future__ import annotations

import json
import re

import pytest

from server.core.number_format import DECIMAL_COMMA, NO_NUMBER_OPTIONS, NumberFormat, NumberOptions
from server.pipeline.number_texts import decimal_fault, integer_fault
from server.pipeline.prepare import prepare
from server.sources.csv.options import parse_options
from server.targets.base import TargetColumn
from tests.pipeline.builders import by_comma, by_format, make_batch, make_plan, make_target

KEY = TargetColumn("k", "text")
PRICE = TargetColumn("price", "decimal", precision=10, scale=2)
COUNT = TargetColumn("count", "integer", minimum="0", maximum="2147483647")
PLAIN, COMMA, US = by_comma(False), by_comma(True), by_format(".", ",")
SET_TRUE, SET_FALSE = "set options.decimalComma to true", "set options.decimalComma to false"
GROUPS = "groups have exactly three digits"
THOUSANDS = "may mean thousands"
MINUS = "with - before its first digit"


@pytest.mark.parametrize(
    ("text", "numbers", "said", "unsaid"),
    [
        ("69.900", PLAIN, [f"{SET_TRUE} to read it as 69900; if it is 69.9, write 69.90", THOUSANDS], [SET_FALSE]),
        ("-1.000", PLAIN, [f"{SET_TRUE} to read it as -1000; if it is -1, write -1.00", THOUSANDS], []),
        ("69.995", PLAIN, [SET_TRUE, "if it is 69.995, it has more than 2 decimals"], []),
        ("69,900", PLAIN, ['numberFormat.grouping to "," to read it as 69900; if it is 69.9'], [SET_TRUE]),
        ("69,900", COMMA, [f'{SET_FALSE} and options.numberFormat.grouping to "," to read it as 69900', "69,90"], []),
        ("0.900", COMMA, ["if it is 0.9, write 0,90"], ["set options"]),
        ("$ 69.900", PLAIN, [f'{SET_TRUE} and options.numberFormat.currency to ["$"]', THOUSANDS, "write 69.90"], []),
        ("$ 69.900", COMMA, ['currency to ["$"] to read it as 69900', "69.900,50", "no currency"], [THOUSANDS]),
        ("$ 69.900 COP", COMMA, ['currency to ["$", "COP"] to read it as 69900'], []),
        ("16 manzanas", PLAIN, ["leave out what stands around"], ["set options"]),
        ("1.299.900", PLAIN, [f"{SET_TRUE} to read it as 1299900"], []),
        ("1.234,50", PLAIN, [f"{SET_TRUE} to read it as 1234.5"], []),
        ("69,9", PLAIN, [f"{SET_TRUE} to read it as 69.9"], []),
        ("1,234.50", PLAIN, ['set options.numberFormat.grouping to "," to read it as 1234.5'], [SET_TRUE]),
        ("1,234.50", COMMA, [f'{SET_FALSE} and options.numberFormat.grouping to ","'], [SET_TRUE]),
        ("1.234,50", US, ['decimal to "," and options.numberFormat.grouping to "."'], ["decimalComma"]),
        ("69900.50", COMMA, [f"{SET_FALSE} to read it as 69900.5"], [SET_TRUE, "numberFormat"]),
        ("1 234,50", PLAIN, ['decimal to "," and options.numberFormat.grouping to " "'], [SET_TRUE]),
        ("1\u202f234,50 €", PLAIN, ['grouping to " " and options.numberFormat.currency to ["€"]'], [SET_TRUE]),
        ("1\u2019234.50", PLAIN, ['grouping to "\'" to read it as 1234.5'], [SET_TRUE]),
        ("1,00,000", PLAIN, [GROUPS], ["set options"]),
        ("₹ 1,00,000", by_format(".", ",", "₹"), [GROUPS], ["set options"]),
        ("\u221269900", PLAIN, [MINUS], [SET_TRUE]),
        ("(69900)", PLAIN, [MINUS], ["set options"]),
        ("(5.000)", PLAIN, [MINUS, "to read it as -5000; if it is -5, write -5.00"], []),
        ("1,299.90-", PLAIN, [MINUS, "to read it as -1299.9"], []),
        ("5 %", by_format(".", "", "$"), ["percentage"], ["set options"]),
        ("$.50", PLAIN, ["write a 0 before its decimal mark"], ["set options"]),
        ("S/.50", PLAIN, ['currency to ["S/."] to read it as 50'], []),
        ("7.70212E+12", PLAIN, ["exponent"], [SET_TRUE]),
        ("٣", PLAIN, ["digits are none of 0 to 9"], ["set options"]),
        ("free", PLAIN, ["no digit"], [SET_TRUE, "around"]),
        ("69.900", NO_NUMBER_OPTIONS, [THOUSANDS], ["options."]),
        ("$ 1.234,50", NO_NUMBER_OPTIONS, ["no grouping", "leave out what stands around"], ["options."]),
        ("9" * 70 + ",5", PLAIN, ["digits and a point"], ["9999", "set options"]),
        ("1e3", by_format(",", ".", "$"), ["also with $", "exponent"], []),
    ],
)
def test_a_decimal_that_is_not_read(text: str, numbers: NumberOptions, said: list[str], unsaid: list[str]) -> None:
    told = decimal_fault("price", text, scale=2, numbers=numbers)
    assert [part for part in ["digits", *said] if part not in told] == []
    assert [part for part in unsaid if part in told] == []
    assert len(told) < 600


@pytest.mark.parametrize(
    ("text", "numbers", "said", "unsaid"),
    [
        ("3.000", PLAIN, [f"{SET_TRUE} to read it as 3000; if it is 3, write 3", THOUSANDS], []),
        ("1.299", PLAIN, [SET_TRUE, "if it is 1.299, it is no whole number"], []),
        ("3,000", COMMA, [THOUSANDS, f'{SET_FALSE} and options.numberFormat.grouping to ","'], [SET_TRUE]),
        ("3,000", PLAIN, ['options.numberFormat.grouping to "," to read it as 3000'], [SET_TRUE]),
        ("1.000.000", PLAIN, [SET_TRUE], []),
        ("16,0", PLAIN, [SET_TRUE], []),
        ("16.0", COMMA, [SET_FALSE], []),
        ("16.5", PLAIN, ["digits"], ["set options", "around"]),
        ("16 GB", PLAIN, ["around"], ["set options"]),
        ("$ 16", by_format(".", "", "$"), ["no currency", "around"], ["set options"]),
        ("3 000", PLAIN, ['options.numberFormat.grouping to " "'], []),
    ],
)
def test_a_whole_number_that_is_not_read(text: str, numbers: NumberOptions, said: list[str], unsaid: list[str]) -> None:
    told = integer_fault("count", text, numbers=numbers)
    assert [part for part in said if part not in told] == []
    assert [part for part in unsaid if part in told] == []


@pytest.mark.parametrize("options", [
    {}, {"decimalComma": True}, {"numberFormat": {"grouping": "."}}, {"numberFormat": {"grouping": ","}},
    {"numberFormat": {"decimal": ",", "grouping": " ", "currency": ["€"]}},
    {"decimalComma": True, "numberFormat": {"currency": ["COP"]}},
], ids=str)  # fmt: skip
@pytest.mark.parametrize(
    ("column", "text", "stored"),
    [
        (PRICE, "1.299.900", "1299900.00"),
        (PRICE, "1.234,50", "1234.50"),
        (PRICE, "69900.50", "69900.50"),
        (PRICE, "1,234.50", "1234.50"),
        (PRICE, "$ 1.234,50", "1234.50"),
        (PRICE, "-$1,234.50 USD", "-1234.50"),
        (PRICE, "1 234,50 €", "1234.50"),
        (PRICE, "CHF 1\u2019234.50", "1234.50"),
        (PRICE, "1'234,50", "1234.50"),
        (PRICE, "1_234.5", "1234.50"),
        (COUNT, "3.000.000", "3000000"),
        (COUNT, "16,0", "16"),
        (COUNT, "16.0", "16"),
        (COUNT, "3 000", "3000"),
    ],
)
def test_the_advice_when_followed_stores_the_number(
    column: TargetColumn, text: str, stored: str, options: dict[str, object]
) -> None:
    batch = make_batch({"k": ["key"], column.name: [text]})
    target = make_target(KEY, column)
    found = prepare(batch, make_plan(target, ["k", column.name], numbers=parse_options(options).numbers))
    if found.rejects:
        followed: dict[str, object] = {**options, "numberFormat": {**options.get("numberFormat", {})}}  # type: ignore[dict-item]
        message = found.rejects[0].message
        assert message.count("to read it as") == 1
        for name, value in re.findall(r"options\.([A-Za-z.]+) to (true|false|\".*?\"|\[.*?\])", message):
            above, _, last = name.rpartition(".")
            into = followed[above] if above else followed
            assert isinstance(into, dict)
            into[last] = {"true": True, "false": False}.get(value) if value in ("true", "false") else json.loads(value)
        found = prepare(batch, make_plan(target, ["k", column.name], numbers=parse_options(followed).numbers))
    assert found.rows[column.name].to_list() == [stored]


def test_each_refused_row_is_told_of_its_own_value() -> None:
    batch = make_batch({"k": ["a", "b", "c", "d"], "price": ["69.900", "1", "1 0", "69,9"]})
    plan = make_plan(make_target(KEY, PRICE), ["k", "price"], numbers=PLAIN)
    told = [reject.message for reject in prepare(batch, plan).rejects]
    assert ["thousands" in told[0], GROUPS in told[1], "read it as 69.9" in told[2]] == [True, True, True]


def test_a_column_of_three_decimals_takes_them() -> None:
    column = TargetColumn("v", "decimal", precision=9, scale=3)
    found = prepare(make_batch({"k": ["a"], "v": ["69.900"]}), make_plan(make_target(KEY, column), ["k", "v"]))
    assert found.rows["v"].to_list() == ["69.900"]


def test_what_the_options_stand_for() -> None:
    assert parse_options({"decimalComma": True}).numbers.format == DECIMAL_COMMA
    assert parse_options({"numberFormat": {"grouping": "."}}).numbers.format == DECIMAL_COMMA
    with_currency = parse_options({"decimalComma": True, "numberFormat": {"currency": ["$", "COP"]}}).numbers
    assert with_currency == NumberOptions(NumberFormat(",", ".", ("$", "COP")), decimal_comma=True, has_format=True)
