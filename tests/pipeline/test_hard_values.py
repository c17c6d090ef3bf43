"""The hard values of the score card, drill 5: each is stored exactly, has no value, or is rejected with its kind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from server.core.reject_kinds import RejectKind
from server.pipeline.plan import PreparedBatch
from server.pipeline.prepare import prepare
from server.targets.base import TargetColumn
from tests.pipeline.builders import by_comma, make_batch, make_plan, make_target

KEY = TargetColumn("k", "text")
TEXT = TargetColumn("v", "text", length_max=10)
INTEGER = TargetColumn("v", "integer", minimum="-2147483648", maximum="2147483647")
BIGINT = TargetColumn("v", "integer")
DECIMAL = TargetColumn("v", "decimal", precision=10, scale=2)
DECIMAL_38 = TargetColumn("v", "decimal", precision=38, scale=0)
BOOLEAN = TargetColumn("v", "boolean")
TIMESTAMP = TargetColumn("v", "timestamp")

NO_VALUE = None


BAD, RANGE, LONG = RejectKind.BAD_CAST, RejectKind.OUT_OF_RANGE, RejectKind.TOO_LONG

TEXTS = [
    ("007", "007"),
    ("+1", "+1"),
    ("1e3", "1e3"),
    ("NULL", "NULL"),
    ("nan", "nan"),
    ("ñandú", "ñandú"),
    ("cafe\u0301", "cafe\u0301"),
    ("🎵🎶", "🎵🎶"),
    ("🎵" * 10, "🎵" * 10),
    ("🎵" * 11, LONG),
    ("é" * 10, "é" * 10),
    ("e\u0301" * 6, LONG),
    (" padded ", "padded"),
    ("trailing ", "trailing"),
    ("\u00a0nbsp\u00a0", "nbsp"),
    ("\u3000wide\u2003", "wide"),
    ("a\u00a0b", "a\u00a0b"),
    ("\u200bzwsp", "\u200bzwsp"),
    ("\x1funit\x1f", "\x1funit\x1f"),
    ("back\\slash", "back\\slash"),
    ("\\N", "\\N"),
    ("\\n", "\\n"),
    ("a\tb", "a\tb"),
    ("a\r\nb", "a\r\nb"),
    ('say "hi"', 'say "hi"'),
    ("O'Brien", "O'Brien"),
    ("nul\x00nul", "nul\x00nul"),
    ("\ufeffbom", "\ufeffbom"),
    ("{x}%s$1", "{x}%s$1"),
    ("", NO_VALUE),
    (" \t\u00a0", NO_VALUE),
    (None, NO_VALUE),
]
INTEGERS = [
    ("007", "7"),
    ("-0", "0"),
    ("+5", "5"),
    ("2147483647", "2147483647"),
    ("-2147483648", "-2147483648"),
    ("2147483648", RANGE),
    ("9223372036854775808", RANGE),
    ("18446744073709551616", RANGE),
    ("340282366920938463463374607431768211456", RANGE),
    ("9" * 40, RANGE),
    ("0" * 60 + "7", "7"),
    ("1.0", "1"),
    ("16.00000", "16"),
    ("-16.", "-16"),
    (".0", "0"),
    ("-.0", "0"),
    ("+.00", "0"),
    ("1234.000", "1234"),
    ("16.5", BAD),
    ("3.000", BAD),
    ("-300.000", BAD),
    ("0.000", BAD),
    ("1.000.000", BAD),
    ("2147483648.0", RANGE),
    ("1,000", BAD),
    ("1_000", BAD),
    ("1e3", BAD),
    ("0x10", BAD),
    ("- 5", BAD),
    ("--5", BAD),
    ("+", BAD),
    ("٣", BAD),
    ("\uff11\uff12", BAD),
    ("1 2", BAD),
    ("12\x00", BAD),
    ("NaN", BAD),
    (" 12 ", "12"),
    ("  ", NO_VALUE),
]
BIGINTS = [
    ("9223372036854775807", "9223372036854775807"),
    ("9223372036854775808", RANGE),
    ("-9223372036854775808", "-9223372036854775808"),
]
DECIMALS = [
    ("69900", "69900.00"),
    ("69900.5", "69900.50"),
    ("0069900.00", "69900.00"),
    ("99999999.99", "99999999.99"),
    ("-99999999.99", "-99999999.99"),
    ("100000000", RANGE),
    ("99999999.995", RANGE),
    ("0.1234", RANGE),
    ("1.2300", "1.23"),
    ("69.90", "69.90"),
    ("69.9", "69.90"),
    ("69.900", RANGE),
    ("129.950", RANGE),
    ("69.995", RANGE),
    ("-1.000", RANGE),
    ("+999.990", RANGE),
    ("1.299.900", BAD),
    ("1299.900", "1299.90"),
    ("1.9900", "1.99"),
    (".900", "0.90"),
    (".5", "0.50"),
    ("5.", "5.00"),
    ("-0", "0.00"),
    ("-0.00", "0.00"),
    ("-.01", "-0.01"),
    ("+1.1", "1.10"),
    ("1" * 80, RANGE),
    (".", BAD),
    ("-", BAD),
    ("1e3", BAD),
    ("NaN", BAD),
    ("inf", BAD),
    ("-Infinity", BAD),
    ("$5", BAD),
    ("1,5", BAD),
    ("1.2.3", BAD),
    ("", NO_VALUE),
]
DECIMALS_38 = [
    ("9" * 38, "9" * 38),
    ("-" + "9" * 38, "-" + "9" * 38),
    ("1" + "0" * 38, RANGE),
    ("3" * 39, RANGE),
    ("7.0", "7"),
]
BOOLEANS = [
    *[
        (word, "1")
        for word in ("true", "TRUE", "1", "yes", "si", "SI", "sí", "SÍ", "si\u0301", "Verdadero", "t", " y ")
    ],
    *[(word, "0") for word in ("false", "False", "0", "no", "NO", "falso", "f", "n")],
    ("2", BAD),
    ("-1", BAD),
    ("maybe", BAD),
    ("01", BAD),
    ("1.0", BAD),
    ("", NO_VALUE),
]
TIMESTAMPS = [
    ("2024-02-29", "2024-02-29 00:00:00"),
    ("2024-02-29T12:34", "2024-02-29 12:34:00"),
    ("2024-02-29 12:34:56", "2024-02-29 12:34:56"),
    ("2024-02-29T12:34:56Z", "2024-02-29 12:34:56"),
    ("2024-02-29t12:34:56z", "2024-02-29 12:34:56"),
    ("2024-02-29T23:30:00-05:00", "2024-03-01 04:30:00"),
    ("2024-03-01T01:00:00+0530", "2024-02-29 19:30:00"),
    ("2024-03-01T01:00:00+02", "2024-02-29 23:00:00"),
    ("2024-02-29T12:34:56.1", "2024-02-29 12:34:56.100000"),
    ("2024-02-29T12:34:56,123456", "2024-02-29 12:34:56.123456"),
    ("2024-02-29T12:34:56.123456000", "2024-02-29 12:34:56.123456"),
    ("2024-02-29T12:34:56.000", "2024-02-29 12:34:56"),
    ("2024-02-29T12:34:56.1234567", RANGE),
    ("2038-01-19T03:14:07Z", "2038-01-19 03:14:07"),
    ("2038-01-19T03:14:08Z", RANGE),
    ("1970-01-01T00:00:00Z", RANGE),
    ("1969-12-31T19:00:01-05:00", "1970-01-01 00:00:01"),
    ("0000-01-01", RANGE),
    ("9999-12-31", RANGE),
    ("2023-02-29", BAD),
    ("2024-13-01", BAD),
    ("2024-00-10", BAD),
    ("2024-06-31", BAD),
    ("2024-01-01T24:00:00", BAD),
    ("2016-12-31T23:59:60Z", BAD),
    ("2024-01-01T10:60", BAD),
    ("2024-01-01T10:00+15:00", BAD),
    ("2024-01-01T10", BAD),
    ("2024-01-01Z", BAD),
    ("31/01/2024", BAD),
    ("20240131", BAD),
    ("2024-1-1", BAD),
    ("now", BAD),
    ("1706659200", BAD),
    ("", NO_VALUE),
]

TABLES: list[tuple[str, TargetColumn, Sequence[tuple[str | None, str | None]]]] = [
    ("text", TEXT, TEXTS),
    ("int", INTEGER, INTEGERS),
    ("bigint", BIGINT, BIGINTS),
    ("decimal(10,2)", DECIMAL, DECIMALS),
    ("decimal(38,0)", DECIMAL_38, DECIMALS_38),
    ("boolean", BOOLEAN, BOOLEANS),
    ("timestamp", TIMESTAMP, TIMESTAMPS),
]
CASES = [
    pytest.param(column, raw, expected, id=f"{label} {raw!r}")
    for label, column, values in TABLES
    for raw, expected in values
]

DECIMAL_COMMA_CASES = [
    (DECIMAL, "1.234,50", "1234.50"),
    (DECIMAL, "12.345.678,9", "12345678.90"),
    (DECIMAL, "-1,5", "-1.50"),
    (DECIMAL, ",5", "0.50"),
    (DECIMAL, "69.900", "69900.00"),
    (DECIMAL, "1234,5", "1234.50"),
    (DECIMAL, "1.23,4", BAD),
    (DECIMAL, "0.900", BAD),
    (DECIMAL, "012.900", BAD),
    (DECIMAL, "1234.567,8", BAD),
    (DECIMAL, "1,234.50", BAD),
    (DECIMAL, "1.5", BAD),
    (DECIMAL, "1,2,3", BAD),
    (DECIMAL, "1,005", RANGE),
    (DECIMAL, "69,900", RANGE),
    (DECIMAL, "-1,000", RANGE),
    (DECIMAL, "69.900,50", "69900.50"),
    (DECIMAL, "69.900,500", "69900.50"),
    (DECIMAL, "1299,900", "1299.90"),
    (DECIMAL, "69,9", "69.90"),
    (INTEGER, "1.000.000", "1000000"),
    (INTEGER, "10.00", BAD),
    (INTEGER, "1000", "1000"),
    (INTEGER, "1,0", "1"),
    (INTEGER, "3.000", "3000"),
    (INTEGER, "3.000,0", "3000"),
    (INTEGER, "3,000", BAD),
    (INTEGER, "16,5", BAD),
]


def prepare_value(column: TargetColumn, raw: str | None, *, decimal_comma: bool = False) -> PreparedBatch:
    plan = make_plan(make_target(KEY, column), ["k", "v"], numbers=by_comma(decimal_comma))
    return prepare(make_batch({"k": ["key"], "v": [raw]}), plan)


def check(prepared: PreparedBatch, expected: str | None) -> None:
    if isinstance(expected, RejectKind):
        assert [reject.kind for reject in prepared.rejects] == [expected]
        assert prepared.rows.is_empty()
    else:
        assert prepared.rejects == ()
        assert prepared.rows["v"].to_list() == [expected]


@pytest.mark.parametrize(("column", "raw", "expected"), CASES)
def test_a_hard_value_is_stored_exactly_or_rejected(column: TargetColumn, raw: str, expected: str | None) -> None:
    check(prepare_value(column, raw), expected)


@pytest.mark.parametrize(("column", "raw", "expected"), DECIMAL_COMMA_CASES)
def test_numbers_with_a_decimal_comma(column: TargetColumn, raw: str, expected: str) -> None:
    check(prepare_value(column, raw, decimal_comma=True), expected)


@pytest.mark.parametrize(
    ("column", "raw", "message"),
    [
        (TEXT, "x" * 11, "v is longer than 10 characters"),
        (INTEGER, "2147483648", "v is outside -2147483648 to 2147483647"),
        (DECIMAL, "1.0055", "v has more than 2 decimals"),
        (DECIMAL, "100000000", "v is outside -99999999.99 to 99999999.99"),
        (BOOLEAN, "2", "v is none of true, false, 1, 0, yes, no, si, sí"),
    ],
)
def test_a_message_says_what_is_wrong_without_the_value(column: TargetColumn, raw: str, message: str) -> None:
    assert prepare_value(column, raw).rejects[0].message == message
