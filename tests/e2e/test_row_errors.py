"""Input drill 2: each way in which a row can be bad is listed with its kind, line, byte offset, column and raw text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.e2e.test_csv_to_table import rows
from tests.support.service import Service

SONGS_HEAD = b"external_id,title,artist,genre\n"
ITEMS_HEAD = b"category_id,capacity,capacity_gb,price,min_price,max_price,content_count,content_unit\n"
SONGS: dict[str, Any] = {"targetTable": "content_index"}
ITEMS = {"targetTable": "catalog_items"}
GOOD_COUNT = 24


def songs(first: int, count: int) -> bytes:
    """Good records, each on a line of its own."""
    return b"".join(b"id-%04d,Canci\xc3\xb3n %d,Alguien,Salsa\n" % (n, n) for n in range(first, first + count))


def items(first: int, count: int) -> bytes:
    """Good items, each on a line of its own."""
    return b"".join(b"music,%dGB,%d,69900,60000,80000,5000,canciones\n" % (n, n) for n in range(first, first + count))


@dataclass(frozen=True)
class Case:
    """A bad record between good ones, and what is to be said of it. `column` and `kind` as in `sync_errors`."""

    options: dict[str, Any]
    bad: bytes
    kind: str
    column: str | None
    raw: str | None = None
    type: str = "parsing"


CASES = {
    "missing columns": Case(SONGS, b"bad-1,only two\n", "missing_columns", "artist"),
    "too many columns": Case(SONGS, b"bad-1,t,a,g,one more\n", "too_many_columns", None),
    "stray quote": Case(SONGS, b'bad-1,12" single,a,g\n', "stray_quote", "title"),
    "text behind a closing quote": Case(SONGS, b'bad-1,"t" x,a,g\n', "stray_quote", "title"),
    "unclosed quote": Case(SONGS, b'bad-1,t,"never closed,g\n', "unclosed_quote", "artist"),
    "bad encoding": Case(SONGS, b"bad-1,Canci\xf3n,a,g\n", "bad_encoding", "title", "bad-1,Canci\\xf3n,a,g"),
    "repeated header": Case(SONGS, SONGS_HEAD, "repeated_header", None),
    "too long for the column": Case(SONGS, b"bad-1," + b"t" * 501 + b",a,g\n", "too_long", "title", type="validation"),
    "required missing": Case(SONGS, b"bad-1,,a,g\n", "required_missing", "title", type="validation"),
    "bad cast": Case(ITEMS, b"music,9GB,nine,1,1,1,1,u\n", "bad_cast", "capacity_gb", type="validation"),
    "out of range": Case(ITEMS, b"music,9GB,9,100000000.00,,,1,u\n", "out_of_range", "price", type="validation"),
    "price below min_price": Case(ITEMS, b"music,9GB,9,5,6,7,1,u\n", "out_of_range", "min_price", type="validation"),
    "a record of several lines": Case(
        ITEMS, b'music,9GB,9,"1\n2",,,1,"two\r\nlines"\n', "bad_cast", "price", type="validation"
    ),
}


def listed(service: Service, run_id: int) -> list[dict[str, Any]]:
    """All errors of a run over REST, in the order of the file."""
    status, answer = service.get(f"/v1/sync/{run_id}/errors?pageSize=1000")
    assert status == 200, answer
    errors: list[dict[str, Any]] = sorted(answer["data"], key=lambda error: error["line"])
    return errors


@pytest.mark.parametrize("case", CASES)
def test_a_bad_row_is_listed_with_its_kind_place_column_and_raw_text(service: Service, case: str) -> None:
    wanted = CASES[case]
    head, good = (SONGS_HEAD, songs) if wanted.options is SONGS else (ITEMS_HEAD, items)
    before = head + good(100, GOOD_COUNT)
    name = f"row-errors-{case.replace(' ', '-')}.csv"
    (service.data_root / name).write_bytes(before + wanted.bad + good(200, GOOD_COUNT))
    run = service.run("csv", name, wanted.options)
    ledger = run["ledger"]
    assert (run["status"], ledger["rowsRead"], ledger["rejected"]) == ("completed", 2 * GOOD_COUNT + 1, 1)
    (error,) = listed(service, run["syncRunId"])
    raw = wanted.bad.rstrip(b"\n").decode() if wanted.raw is None else wanted.raw
    line = before.count(b"\n") + 1
    assert (error["code"], error["line"], error["byteOffset"], error["column"], error["raw"]) == (
        wanted.kind, line, len(before), wanted.column, raw,
    )  # fmt: skip
    assert (error["type"], error["retryable"]) == (wanted.type, False)
    stored = rows(
        service,
        "SELECT error_type, error_code, line_no, byte_offset, column_name FROM sync_errors WHERE sync_run_id = :run",
        run=run["syncRunId"],
    )
    assert stored == [(wanted.type, wanted.kind, line, len(before), wanted.column)]


def test_a_line_that_is_too_long_is_listed_and_passed_over(service: Service) -> None:
    before = SONGS_HEAD + songs(300, GOOD_COUNT)
    long_line = b"long," + b"x" * (16 * 1024 * 1024) + b",a,g"
    (service.data_root / "too-long.csv").write_bytes(before + long_line + b"\n" + songs(400, GOOD_COUNT))
    run = service.run("csv", "too-long.csv")
    assert (run["status"], run["ledger"]["inserted"], run["ledger"]["rejected"]) == ("completed", 2 * GOOD_COUNT, 1)
    (error,) = listed(service, run["syncRunId"])
    assert (error["code"], error["line"], error["byteOffset"]) == ("record_too_long", GOOD_COUNT + 2, len(before))
    assert error["raw"] == long_line[: 64 * 1024].decode()


def test_offsets_of_a_wide_encoding_and_a_mark_are_those_of_the_file(service: Service) -> None:
    before = "external_id,title\n" + "".join(f"w{n},Canción 🎵 {n}\n" for n in range(GOOD_COUNT))
    bad = "w-bad,a,b"
    (service.data_root / "wide.csv").write_bytes((before + bad + "\n").encode("utf-16"))
    run = service.run("csv", "wide.csv")
    (error,) = listed(service, run["syncRunId"])
    assert (error["code"], error["line"], error["raw"]) == ("too_many_columns", GOOD_COUNT + 2, bad)
    assert error["byteOffset"] == len(before.encode("utf-16"))


def test_an_earlier_row_with_the_same_key_is_listed_as_skipped(service: Service) -> None:
    before = SONGS_HEAD + songs(500, GOOD_COUNT)
    early = b'twice,"the, first",a,g\n'
    (service.data_root / "twice.csv").write_bytes(before + early + songs(600, 3) + b"twice,the last,a,g\n")
    run = service.run("csv", "twice.csv")
    assert (run["status"], run["itemsSkipped"], run["itemsFailed"]) == ("completed", 1, 0)
    (error,) = listed(service, run["syncRunId"])
    assert (error["code"], error["line"], error["byteOffset"]) == ("duplicate_key", GOOD_COUNT + 2, len(before))
    assert error["raw"] == early.decode().rstrip("\n")
    query = "SELECT title FROM content_index WHERE source_identifier = 'twice.csv' AND external_id = 'twice'"
    assert rows(service, query) == [("the last",)]


def adopted(service: Service, statement: str) -> None:
    """Make the table what an older database's is; a table of our own takes any key and any text."""
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"]
    if "sqlite" in url:
        pytest.skip("SQLite compares keys byte for byte and cuts no text")
    engine = create_engine(url.replace("+aiomysql", "+pymysql"))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def refused_by_the_table(service: Service, request: pytest.FixtureRequest) -> tuple[list[dict[str, Any]], bytes]:
    """The errors of a file with a colliding key and a value that is too long for an adopted table, and the file."""
    adopted(
        service,
        "ALTER TABLE content_index MODIFY external_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, "
        "MODIFY genre VARCHAR(5) CHARACTER SET utf8mb4",
    )
    content = SONGS_HEAD + songs(700, GOOD_COUNT) + b"Ana,t,a,g\n" + b"ana,t,a,g\n" + b"wide,t,a,Vallenato\n"
    # A name of its own: the same file again would be nothing to do.
    name = f"{request.node.originalname}.csv"
    (service.data_root / name).write_bytes(content)
    run = service.run("csv", name)
    assert (run["status"], run["itemsProcessed"], run["itemsFailed"]) == ("completed", GOOD_COUNT + 1, 2)
    return listed(service, run["syncRunId"]), content


def test_what_only_the_table_refuses_is_listed_with_kind_line_and_column(
    refused_by_the_table: tuple[list[dict[str, Any]], bytes],
) -> None:
    errors, _content = refused_by_the_table
    assert [(error["code"], error["line"], error["column"]) for error in errors] == [
        ("key_collision", GOOD_COUNT + 3, None),
        ("not_storable", GOOD_COUNT + 4, "genre"),
    ]


def test_what_only_the_table_refuses_is_listed_with_offset_and_raw_text(
    refused_by_the_table: tuple[list[dict[str, Any]], bytes],
) -> None:
    errors, content = refused_by_the_table
    assert [(error["byteOffset"], error["raw"]) for error in errors] == [
        (content.index(b"ana,t"), "ana,t,a,g"),
        (content.index(b"wide,t"), "wide,t,a,Vallenato"),
    ]
