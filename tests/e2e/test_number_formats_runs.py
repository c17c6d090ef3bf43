"""Numbers as people write them, through the running service: refused with what would read them, and read as declared."""

from __future__ import annotations

import json
from typing import Any

import pytest
from techaura_sync.client import SyncClient
from techaura_sync.spec import sync_spec

from tests.e2e.test_csv_to_table import rows
from tests.support.items_api import items_api
from tests.support.programs import run
from tests.support.service import Service
from tests.support.workbooks import write_xlsx, xlsx_row

HEADER = "category_id;capacity;capacity_gb;price;content_count;content_unit\n"
ITEMS = {"targetTable": "catalog_items", "delimiter": ";"}


def items(service: Service, category: str) -> list[Any]:
    query = "SELECT capacity_gb, price, content_count FROM catalog_items WHERE category_id = :category ORDER BY id"
    return [(gb, f"{price:.2f}", count) for gb, price, count in rows(service, query, category=category)]


def rejects(service: Service, found: dict[str, Any]) -> list[str]:
    answer = service.get(f"/v1/sync/{found['syncRunId']}/errors")[1]["data"]
    lines = sorted((error for error in answer if error["line"] is not None), key=lambda error: error["line"])
    return [error["message"] for error in lines]


PESOS = ["$ 69.900", "COP 1.299.900,50", "$1.299.900 COP", "69900"]
FORMATS: list[tuple[str, list[str], dict[str, Any], list[str]]] = [
    ("pesos", PESOS, {"grouping": ".", "currency": ["$", "COP"]}, ["69900.00", "1299900.50", "1299900.00", "69900.00"]),
    ("dollars", ["$1,299.90", "US$ 1,299,000"], {"grouping": ",", "currency": ["$", "US$"]}, ["1299.90", "1299000.00"]),
    ("francs", ["1'299.90", "CHF 1\u2019299.90"], {"grouping": "'", "currency": ["CHF"]}, ["1299.90", "1299.90"]),
    (
        "euros",
        ["1 299,90 €", "1\u00a0299,90\u00a0€", "1\u202f299,90 €"],
        {"decimal": ",", "grouping": " ", "currency": ["€"]},
        ["1299.90", "1299.90", "1299.90"],
    ),
]


@pytest.mark.parametrize(("name", "prices", "number_format", "stored"), FORMATS, ids=[one[0] for one in FORMATS])
def test_prices_are_read_as_declared_and_refused_without(
    service: Service, name: str, prices: list[str], number_format: dict[str, Any], stored: list[str]
) -> None:
    lines = [f"{name};{place}GB;{place};{price};10;u\n" for place, price in enumerate(prices)]
    (service.data_root / f"{name}.csv").write_text(HEADER + "".join(lines))
    refused = service.run("csv", f"{name}.csv", ITEMS)
    assert items(service, name) == [(place, "69900.00", 10) for place, price in enumerate(prices) if price == "69900"]
    assert [message for message in rejects(service, refused) if "options.numberFormat" not in message] == []
    assert service.run("csv", f"{name}.csv", ITEMS | {"numberFormat": number_format})["status"] == "completed"
    assert sorted(items(service, name)) == [(place, price, 10) for place, price in enumerate(stored)]


def test_the_command_line_reads_and_looks_with_a_declared_format(service: Service) -> None:
    (service.data_root / "flags.csv").write_text(HEADER + "flags;1GB;1.000,0;$ 69.900;3.000;u\n")
    flags = ["--number-format-grouping", ".", "--number-format-currency", "$"]
    asked = ["csv", "flags.csv", "--table", "catalog_items", "--delimiter", ";", *flags]
    looked = run("techaura-sync", "--target", service.grpc_target, "test", *asked)
    assert (looked.returncode, "price='69900.00'" in looked.stdout) == (0, True), looked.stdout
    shown = run("techaura-sync", "--target", service.grpc_target, "trigger", *asked, "--watch")
    assert (shown.returncode, items(service, "flags")) == (0, [(1000, "69900.00", 3000)]), shown.stdout


def test_texts_of_other_formats_are_read_as_declared_and_their_numbers_as_they_are(service: Service) -> None:
    """Over gRPC: in JSON and in workbooks a number is one already, whatever the options declare."""
    names = HEADER.strip().split(";")
    values: list[list[Any]] = [["mixed", "1GB", 1, "$ 69.900", "3.000", "u"], ["mixed", "2GB", 2, 69900.5, 3000, "u"]]
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in values]
    (service.data_root / "mixed.ndjson").write_text("\n".join(lines))
    number = '<c r="{}3"><v>{}</v></c>'
    cells = ["book", "2GB", number.format("C", 2), number.format("D", 69900.5), number.format("E", 3000), "u"]
    sheet = [xlsx_row(1, names), xlsx_row(2, ["book", "1GB", "1", "$ 69.900", "3.000", "u"]), xlsx_row(3, cells)]
    write_xlsx(service.data_root / "book.xlsx", {"S": "".join(sheet)})
    options = {"targetTable": "catalog_items", "numberFormat": {"grouping": ".", "currency": ["$"]}}
    for name, category in (("mixed.ndjson", "mixed"), ("book.xlsx", "book")):
        with SyncClient(service.grpc_target) as client:
            *_earlier, last = client.trigger(sync_spec("csv", name, options))
        assert service.finished(int(last.progress.sync_run_id))["status"] == "completed"
        assert items(service, category) == [(1, "69900.00", 3000), (2, "69900.50", 3000)]


def test_texts_of_an_api_are_read_as_declared_and_its_numbers_as_they_are(service: Service) -> None:
    names = HEADER.strip().split(";")
    values: list[list[Any]] = [["api", "1GB", 1, "$ 69.900", "3.000", "u"], ["api", "2GB", 2, 69.900, 3000, "u"]]
    items_asked = {number: dict(zip(names, row, strict=True)) for number, row in enumerate(values)}
    with items_api(count=2, is_open=True, replaced=dict(items_asked)) as api:
        options = {"targetTable": "catalog_items"}
        refused = service.run("api", api.url, options)
        assert 'options.numberFormat.grouping to "."' in rejects(service, refused)[0]
        declared = {"numberFormat": {"grouping": ".", "currency": ["$"]}}
        assert service.run("api", api.url, options | declared)["status"] == "completed"
    assert sorted(items(service, "api")) == [(1, "69900.00", 3000), (2, "69.90", 3000)]


def test_a_format_that_contradicts_the_decimal_comma_is_refused(service: Service) -> None:
    body = {"sourceType": "csv", "sourceIdentifier": "x.csv"}
    options = {"decimalComma": True, "numberFormat": {"grouping": ","}}
    status, answer = service.post("/v1/sync/trigger", body | {"options": options})
    assert (status, answer["reason"]) == (400, "INVALID_OPTION")
    assert "options.numberFormat.grouping contradicts options.decimalComma" in answer["error"]


def test_several_currencies_of_one_column_are_told_with_their_counts(service: Service) -> None:
    prices = ["USD 62.50", "-COP 0.00", "63.50", "COP 1", "5 USD", "USD 6 USD", "COP 7"]
    lines = [f"money;{place}GB;{place};{price};10;u\n" for place, price in enumerate(prices)]
    options = ITEMS | {"numberFormat": {"currency": ["COP", "USD", "€"]}}
    (service.data_root / "money.csv").write_text(HEADER + "".join(lines))
    looked = service.post("/v1/sync/test", {"sourceType": "csv", "sourceIdentifier": "money.csv", "options": options})[
        1
    ]
    done = service.run("csv", "money.csv", options)
    said = "'price' holds amounts in several currencies: 'USD' in 3 rows, first on line 2; 'COP' in 3 rows, first on line 3: all"
    assert (done["status"], len(items(service, "money")), done["rejectGroups"]) == ("completed", 7, [])
    for notices in (done["notices"], looked["data"]["notices"]):
        assert [notice for notice in notices if said in notice], notices
    (service.data_root / "one.csv").write_text(HEADER + "one;1GB;1;USD 5;10;u\none;2GB;2;6;10;u\n")
    assert service.run("csv", "one.csv", options)["notices"] == []


def test_a_mirror_switches_nothing_off_that_stands_in_the_file_with_other_marks(service: Service) -> None:
    lines = [f"mirrored;{place}GB;{place};{place}.500;10;u\n" for place in range(1, 6)]
    (service.data_root / "mirrored.csv").write_text(HEADER + "".join(lines))
    options = ITEMS | {"mode": "mirror", "mirrorGoneRatioMax": 1}
    read = service.run("csv", "mirrored.csv", options | {"numberFormat": {"grouping": "."}})
    assert read["status"] == "completed"
    refused = service.run("csv", "mirrored.csv", options | {"numberFormat": {"grouping": ","}})
    assert (refused["status"], len(rejects(service, refused))) == ("failed", 5)
    query = "SELECT price, is_active FROM catalog_items WHERE category_id = 'mirrored' ORDER BY id"
    assert [(f"{price:.2f}", bool(active)) for price, active in rows(service, query)] == [
        (f"{place}500.00", True) for place in range(1, 6)
    ]
