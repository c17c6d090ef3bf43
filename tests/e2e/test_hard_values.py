"""Input drill 5: hard values through the real program are stored exactly, or rejected with their kind."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.e2e.test_row_errors import listed
from tests.support.service import Service

# White space around a value is no part of it; everything inside is.
TEXTS = [
    "007", "+1", "1e3", "-0", "9223372036854775808", "1" * 80, "NULL", "null", "nan", "None", "true", "\\N", "\\n", "\\\\", "\\",
    "ñandú", "cafe\u0301", "caf\u00e9", "🎵🎶", "👩\u200d👩\u200d👧", "é" * 500, "🎵" * 500, "a\tb", "a\nb", "a\r\nb", "a\rb", "tab\\tslash",
    'say "hi"', '"', '""', "'", "O'Brien", "''; DROP TABLE content_index; --", "%s %d {x} $1 ?", ":name", "#x", ";|,", "a,b",
    "nul\x00nul", "\ufeffbom", "\u200bzwsp", "\x1funit\x1f", "\x7f", "a\u00a0b", "a  b", "=1+1", "@x", "<b>&amp;</b>", "%00",
    "2024-02-30", "31/12/2024", "1.234,56", "69900.10", "0x1F", "١٢٣", "ｆｕｌｌ", "İstanbul", "straße", "STRASSE", "ﬁ", "\U0010fffd",
    "a" * 499 + "ñ", "x\u2028y", "\ue000",
]  # fmt: skip
TOO_LONG = ["a" * 501, "🎵" * 501, "e\u0301" * 251]

# capacity_gb: what the file says, and what the table holds or the kind of the reject.
INTEGERS: list[tuple[str, int | str | None]] = [
    ("007", 7), ("-0", 0), ("+5", 5), ("2147483647", 2147483647), ("2147483648", "out_of_range"),
    ("9223372036854775807", "out_of_range"), ("9223372036854775808", "out_of_range"), ("18446744073709551616", "out_of_range"),
    ("1.0", 1), ("16.5", "bad_cast"), ("3.000", "bad_cast"), ("1,000", "bad_cast"), ("1e3", "bad_cast"), ("0x10", "bad_cast"), ("NaN", "bad_cast"), ("٣", "bad_cast"),
    ("", "required_missing"), ("  12 ", 12), ("1 2", "bad_cast"),
]  # fmt: skip
# price: decimal(10,2), as the text of hundredths.
DECIMALS: list[tuple[str, str]] = [
    ("69900", "69900.00"), ("69900.5", "69900.50"), ("99999999.99", "99999999.99"), ("0.10", "0.10"), ("0.01", "0.01"),
    (".5", "0.50"), ("5.", "5.00"), ("0069900.00", "69900.00"), ("1.2300", "1.23"), ("100000000", "out_of_range"),
    ("99999999.995", "out_of_range"), ("0.001", "out_of_range"), ("69.900", "out_of_range"), ("NaN", "bad_cast"), ("inf", "bad_cast"), ("1e3", "bad_cast"),
    ("$5", "bad_cast"), ("1,5", "bad_cast"), ("1.2.3", "bad_cast"), ("2" * 80, "out_of_range"),
]  # fmt: skip
BOOLEANS: list[tuple[str, int | str]] = [
    ("true", 1), ("FALSE", 0), ("1", 1), ("0", 0), ("sí", 1), ("SI", 1), ("no", 0), ("Yes", 1), ("", 1), ("2", "bad_cast"),
    ("maybe", "bad_cast"),
]  # fmt: skip
ITEM_COLUMNS = ("category_id", "capacity", "capacity_gb", "price", "content_count", "content_unit", "is_active")
PADDING = 400


def csv_text(table: Sequence[Sequence[str]]) -> bytes:
    """The table as the standard library writes it, all in quotes."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    return buffer.getvalue().encode()


def test_hard_texts_are_stored_byte_for_byte(service: Service) -> None:
    table = [(f"t{number:03d}", text) for number, text in enumerate(TEXTS)]
    (service.data_root / "texts.csv").write_bytes(csv_text([("external_id", "title"), *table]))
    run = service.run("csv", "texts.csv")
    assert (run["status"], run["itemsFailed"]) == ("completed", 0), listed(service, run["syncRunId"])
    found = rows(
        service,
        "SELECT external_id, HEX(title) FROM content_index WHERE source_identifier = 'texts.csv' ORDER BY external_id",
    )
    assert found == [(key, text.encode().hex().upper()) for key, text in table]


def test_white_space_around_a_text_stays_where_the_request_says_so(service: Service) -> None:
    table = [
        (f"s{number}", text) for number, text in enumerate(["end ", " start", "\u00a0both\u00a0", "\ttab", "in side"])
    ]
    (service.data_root / "spaces.csv").write_bytes(csv_text([("external_id", "title"), *table]))
    query = (
        "SELECT external_id, HEX(title) FROM content_index WHERE source_identifier = 'spaces.csv' ORDER BY external_id"
    )
    for strips in (False, True):
        run = service.run("csv", "spaces.csv", {"stripText": strips})
        assert (run["status"], run["itemsFailed"]) == ("completed", 0)
        expected = [(key, text.strip() if strips else text) for key, text in table]
        assert rows(service, query) == [(key, text.encode().hex().upper()) for key, text in expected]


def test_hard_texts_are_told_apart_as_keys_and_in_json(service: Service) -> None:
    """As external_id every one of them is a row of its own; in metadata each comes back out of the JSON."""
    keys = [text for text in TEXTS if len(text) <= 255]
    assert len(keys) >= 60
    (service.data_root / "keys.csv").write_bytes(
        csv_text([("external_id", "title", "note"), *((key, "t", key) for key in keys)])
    )
    run = service.run("csv", "keys.csv")
    assert (run["status"], run["ledger"]["inserted"]) == ("completed", len(keys)), listed(service, run["syncRunId"])
    found = rows(service, "SELECT HEX(external_id), metadata FROM content_index WHERE source_identifier = 'keys.csv'")
    assert {digits: json.loads(metadata)["note"] for digits, metadata in found} == {
        key.encode().hex().upper(): key for key in keys
    }
    assert service.run("csv", "keys.csv")["ledger"]["inserted"] == 0


def test_texts_that_are_too_long_are_rejected(service: Service) -> None:
    padding = [(f"p{number}", "short") for number in range(40)]
    long = [(f"x{number}", text) for number, text in enumerate(TOO_LONG)]
    (service.data_root / "long.csv").write_bytes(csv_text([("external_id", "title"), *padding, *long]))
    run = service.run("csv", "long.csv")
    errors = listed(service, run["syncRunId"])
    assert [(error["code"], error["column"]) for error in errors] == [("too_long", "title")] * len(TOO_LONG)
    assert run["ledger"]["inserted"] == len(padding)


@pytest.mark.parametrize(
    ("column", "values"), [("capacity_gb", INTEGERS), ("price", DECIMALS), ("is_active", BOOLEANS)]
)
def test_hard_numbers_and_booleans_are_stored_exactly_or_rejected(
    service: Service, column: str, values: Sequence[tuple[str, object]]
) -> None:
    def item(capacity: str, value: str) -> list[str]:
        usual = dict(zip(ITEM_COLUMNS, (column, capacity, "1", "100", "5", "u", "1"), strict=True))
        return list((usual | {column: value}).values())

    table = [item(f"h{number}", value) for number, (value, _) in enumerate(values)]
    padding = [item(f"p{number}", "1") for number in range(PADDING)]
    name = f"{column}.csv"
    (service.data_root / name).write_bytes(csv_text([ITEM_COLUMNS, *table, *padding]))
    run = service.run("csv", name, {"targetTable": "catalog_items"})
    assert run["status"] == "completed"
    found = dict(rows(service, f"SELECT capacity, {column} FROM catalog_items WHERE category_id = :name", name=column))
    kinds = {error["line"]: (error["code"], error["column"]) for error in listed(service, run["syncRunId"])}
    got = [
        kinds[number + 2][0] if number + 2 in kinds else _shown(found[f"h{number}"], column)
        for number in range(len(values))
    ]
    assert got == [str(expected) for _, expected in values]
    assert {where for _, where in kinds.values()} == {column}


def _shown(value: object, column: str) -> str:
    return str(Decimal(str(value)).quantize(Decimal("0.01")) if column == "price" else value)
