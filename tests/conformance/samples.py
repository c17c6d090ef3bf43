"""A sample of each source type, for the tests that every source type must pass. A new one adds a function and a line."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from server.sources.api.source import API
from server.sources.csv.source import CSV
from server.sources.source_type import SourceType
from tests.conformance.sequence_source import SEQUENCE
from tests.support.items_api import items_api
from tests.support.workbooks import ods_row, write_ods, write_xlsx, xlsx_row

RECORDS = 330
_REJECT_EVERY = 10
REJECTED = RECORDS // _REJECT_EVERY
# What a sample of 6 rows leaves in each target table, whatever the source type: columns to their text by row number.
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "content_index": {"external_id": "k-{n}", "title": "Canción {n}", "artist": "Artista {n}"},
    "catalog_items": {
        "category_id": "memorias",
        "capacity": "{n}GB",
        "capacity_gb": "{n}",
        "price": "69{n}.25",
        "content_count": "{n}",
        "content_unit": "canciones",
    },
}
TABLE_ROWS = 6


@dataclass(frozen=True)
class Sample:
    """One source of RECORDS records, REJECTED of which cannot be loaded.

    Args:
        settings: under which it comes in several batches.
        spellings: other identifiers of the same source.
        secrets: what the options hold and no stored or shown text may.
        wrong: options that must be refused, each with the field that is at fault.
        missing: an identifier of nothing, or None where there is no such thing.
        broken: identifier and options of a source that cannot be read to its end; called before it is opened.
        tables: target table to identifier and options of a source with the rows of TABLES.
    """

    kind: SourceType
    identifier: str
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    spellings: Sequence[str]
    wrong: Mapping[str, Mapping[str, Any]]
    missing: str | None
    broken: Callable[[], tuple[str, Mapping[str, Any]]]
    tables: Mapping[str, tuple[str, Mapping[str, Any]]]
    secrets: Sequence[str] = field(default=())


MakeSample = Callable[[Path], AbstractContextManager[Sample]]


def table_rows(table: str) -> list[dict[str, str]]:
    """The rows of TABLES."""
    return [{name: text.replace("{n}", str(n)) for name, text in TABLES[table].items()} for n in range(TABLE_ROWS)]


@contextmanager
def csv_sample(folder: Path) -> Iterator[Sample]:
    """A file with records that have a field too many."""
    with (folder / "songs.csv").open("w", encoding="utf-8", newline="") as stream:
        stream.write("external_id,title\r\n")
        for n in range(RECORDS):
            stream.write(f"k-{n},Canción {n}{',more' if n % _REJECT_EVERY == 0 else ''}\r\n")
    (folder / "cut.csv.gz").write_bytes(gzip.compress((folder / "songs.csv").read_bytes())[:-40])
    (folder / "link.csv").symlink_to(folder / "songs.csv")
    for table in TABLES:
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(TABLES[table]))
            writer.writeheader()
            writer.writerows(table_rows(table))
    yield Sample(
        kind=CSV,
        identifier="songs.csv",
        options={},
        settings={"csv_block_bytes": 1024, "csv_settle_seconds": 0.0},
        spellings=("./songs.csv", str(folder / "songs.csv"), "link.csv"),
        wrong={"options.delimiter": {"delimiter": ""}, "options.mode": {"mode": "half"}},
        missing="nothing.csv",
        broken=lambda: ("cut.csv.gz", {}),
        tables={table: (f"{table}.csv", {"targetTable": table}) for table in TABLES},
    )


@contextmanager
def ndjson_sample(folder: Path) -> Iterator[Sample]:
    """A file with lines that are no objects."""
    lines = [
        f'"no object {n}"' if n % _REJECT_EVERY == 0 else json.dumps({"external_id": f"k-{n}", "title": f"Canción {n}"})
        for n in range(RECORDS)
    ]
    (folder / "songs.ndjson").write_text("\n".join(lines) + "\n")
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress((folder / "songs.ndjson").read_bytes())[:-40])
    for table in TABLES:
        (folder / f"{table}.jsonl").write_text("\n".join(map(json.dumps, table_rows(table))))
    yield _file_sample(folder, "songs.ndjson", "cut.jsonl.gz", ".jsonl", {"csv_block_bytes": 1024})


def _workbook(path: Path, rows: Iterable[Sequence[str]], make_row: Callable[[int, Sequence[str]], str]) -> None:
    """A sheet of texts."""
    write = write_xlsx if path.suffix == ".xlsx" else write_ods
    write(path, {"Datos": "".join(make_row(number, row) for number, row in enumerate(rows, 1))})


def _workbook_sample(folder: Path, ending: str, make_row: Callable[[int, Sequence[str]], str]) -> Sample:
    """A sheet with rows of a cell too many."""
    songs = [(f"k-{n}", f"Canción {n}", *(["more"] if n % _REJECT_EVERY == 0 else [])) for n in range(RECORDS)]
    _workbook(folder / f"songs{ending}", [("external_id", "title"), *songs], make_row)
    (folder / f"cut{ending}").write_bytes((folder / f"songs{ending}").read_bytes()[:-40])
    for table in TABLES:
        rows = [tuple(TABLES[table]), *(tuple(row.values()) for row in table_rows(table))]
        _workbook(folder / f"{table}{ending}", rows, make_row)
    return _file_sample(folder, f"songs{ending}", f"cut{ending}", ending, {"batch_rows_max": 100})


@contextmanager
def xlsx_sample(folder: Path) -> Iterator[Sample]:
    """An Excel workbook."""
    yield _workbook_sample(folder, ".xlsx", xlsx_row)


@contextmanager
def ods_sample(folder: Path) -> Iterator[Sample]:
    """An OpenDocument spreadsheet."""
    yield _workbook_sample(folder, ".ods", lambda _number, row: ods_row(row))


@contextmanager
def parquet_sample(folder: Path) -> Iterator[Sample]:
    """A file with values of bytes that are no text."""
    titles = [b"\xff" if n % _REJECT_EVERY == 0 else f"Canción {n}".encode() for n in range(RECORDS)]
    songs = pl.DataFrame({"external_id": [f"k-{n}" for n in range(RECORDS)], "title": titles})
    songs.write_parquet(folder / "songs.parquet", row_group_size=70)
    (folder / "cut.parquet").write_bytes((folder / "songs.parquet").read_bytes()[:-40])
    for table in TABLES:
        pl.DataFrame(table_rows(table)).write_parquet(folder / f"{table}.parquet")
    yield _file_sample(folder, "songs.parquet", "cut.parquet", ".parquet", {"batch_rows_max": 100})


def _file_sample(folder: Path, name: str, cut: str, ending: str, settings: Mapping[str, Any]) -> Sample:
    """A file of another format than CSV, written before; the source type is the same."""
    return Sample(
        kind=CSV,
        identifier=name,
        options={},
        settings={"csv_settle_seconds": 0.0, **settings},
        spellings=(f"./{name}", str(folder / name)),
        wrong={"options.format": {"format": "pdf"}, "options.sheet": {"sheet": ""}},
        missing=f"nothing{ending}",
        broken=lambda: (cut, {}),
        tables={table: (f"{table}{ending}", {"targetTable": table}) for table in TABLES},
    )


@contextmanager
def api_sample(folder: Path) -> Iterator[Sample]:
    """A paged API with items that are no objects."""
    with items_api(count=RECORDS) as api:
        api.replaced = {n: f"no object {n}" for n in range(0, RECORDS, _REJECT_EVERY)}
        api.tables = {table: table_rows(table) for table in TABLES}
        paged = {"pagination": {"enabled": True, "type": "page"}}
        options = {
            **paged,
            "auth": {"type": "bearer", "token": api.token},
            "fieldMapping": {"title": "name"},
        }

        def broken() -> tuple[str, Mapping[str, Any]]:
            api.failing_pages = {3}
            return api.url, options

        yield Sample(
            kind=API,
            identifier=api.url,
            options=options,
            settings={"allow_private_addresses": True, "http_batch_rows": 100, "http_retry_attempts_max": 1},
            spellings=(api.url.replace("http:", "HTTP:"),),
            wrong={
                "options.pagination.maxPages": {"pagination": {"enabled": True, "maxPages": 0}},
                "options.fieldMapping.nothing": {"fieldMapping": {"nothing": "name"}},
            },
            missing=None,
            broken=broken,
            tables={
                table: (f"{api.url}?table={table}", options | {"targetTable": table, "fieldMapping": {}})
                for table in TABLES
            },
            secrets=(api.token,),
        )


@contextmanager
def sequence_sample(folder: Path) -> Iterator[Sample]:
    """The source type of these tests."""
    options = {"columns": TABLES["content_index"], "rejectEvery": _REJECT_EVERY}
    yield Sample(
        kind=SEQUENCE,
        identifier=str(RECORDS),
        options=options,
        settings={"batch_rows_max": 100},
        spellings=(f"0{RECORDS}",),
        wrong={"options.columns": {"columns": {}}, "options.rejectEvery": options | {"rejectEvery": -1}},
        missing=None,
        broken=lambda: (str(RECORDS), options | {"breakAt": 250}),
        tables={
            table: (str(TABLE_ROWS), {"targetTable": table, "columns": columns}) for table, columns in TABLES.items()
        },
    )


SAMPLES: Final[Mapping[str, MakeSample]] = {
    "csv": csv_sample,
    "ndjson": ndjson_sample,
    "xlsx": xlsx_sample,
    "ods": ods_sample,
    "parquet": parquet_sample,
    "api": api_sample,
    "sequence": sequence_sample,
}
