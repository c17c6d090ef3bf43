"""A server with a small max_allowed_packet: rows that it cannot take are named with its value, all others are written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from db.engine import Database
from db.migrate import migrate
from db.records import ErrorRow, LoadCounts
from db.repositories import runs
from db.repositories.errors import insert_errors, list_errors
from tests.db.test_refused_rows import put
from tests.db.test_upsert import rows_of, songs
from tests.execution.test_leases import pending
from tests.support.database_server import DatabaseServer

PACKET = 1024 * 1024
SMALL_PACKET = 128 * 1024


def document(size_bytes: int, filling: str = "b") -> str:
    return json.dumps({"a": filling * (size_bytes // len(filling.encode()))}, ensure_ascii=False)


@pytest_asyncio.fixture
async def packed(database_server: DatabaseServer, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """A database on a server with a limit of its own: packet and local_infile."""
    packet_bytes_max, local_infile = request.param
    (before,) = database_server.execute("SELECT @@GLOBAL.max_allowed_packet")
    name = database_server.new_database()
    database_server.execute(
        f"SET GLOBAL max_allowed_packet = {packet_bytes_max}", f"SET GLOBAL local_infile = {local_infile}"
    )
    database = Database(database_server.url(name))
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()
        database_server.execute(f"SET GLOBAL max_allowed_packet = {before[0]}", "SET GLOBAL local_infile = 1")


IN_EACH_WAY = pytest.mark.parametrize("packed", [(PACKET, 1), (PACKET, 0)], indirect=True, ids=["local", "insert"])


@IN_EACH_WAY
@pytest.mark.parametrize("expect_new", [True, False])
async def test_a_row_that_is_longer_than_a_packet_is_set_aside_and_the_others_are_written(
    packed: Database, expect_new: bool
) -> None:
    rows = songs(
        *({"external_id": str(n), "metadata": document(600)} for n in range(2000)),
        {"external_id": "half", "metadata": document(PACKET // 2)},
        {"external_id": "large", "metadata": document(3 * PACKET)},
        {"external_id": "nearly", "metadata": document(PACKET * 9 // 10)},
        {"external_id": "a packet", "metadata": document(PACKET)},
    )
    result = await put(packed, rows, expect_new=expect_new)
    assert (result.counts, sorted(result.refused)) == (LoadCounts(2002, 0, 0), [2001, 2003])
    refusal = result.refused[2001]
    assert refusal.kind == "row_too_large"
    assert "max_allowed_packet is 1048576" in refusal.text
    stored = {row.external_id: row.metadata for row in await rows_of(packed)}
    assert stored["nearly"] == json.loads(document(PACKET * 9 // 10))


@IN_EACH_WAY
async def test_changes_of_long_rows_are_seen(packed: Database) -> None:
    long = document(PACKET * 9 // 10)
    await put(packed, songs({"external_id": "1", "metadata": long}, {"external_id": "2"}))
    changed = long.replace('b"', 'c"')
    rows = songs({"external_id": "1", "metadata": changed}, {"external_id": "2", "metadata": document(2 * PACKET)})
    result = await put(packed, rows)
    assert (result.counts, list(result.refused)) == (LoadCounts(0, 1, 0), [1])
    assert [row.metadata for row in await rows_of(packed)] == [json.loads(changed), None]


@IN_EACH_WAY
@pytest.mark.parametrize("filling", ["'", "\\", "ñ", "🎵"])
async def test_what_grows_in_a_statement_is_counted_as_it_stands_there(packed: Database, filling: str) -> None:
    documents = {str(n): document(n * 20_000, filling) for n in range(1, 60)}
    result = await put(packed, songs(*({"external_id": name, "metadata": text} for name, text in documents.items())))
    stored = {row.external_id: row.metadata for row in await rows_of(packed)}
    assert (result.counts.inserted, len(stored)) == (59 - len(result.refused), 59 - len(result.refused))
    sizes = {name: len(text.encode()) for name, text in documents.items()}
    assert {name for name, size in sizes.items() if size < PACKET // 2.2} <= set(stored)
    assert all(sizes[name] < PACKET for name in stored)
    assert all(value == json.loads(documents[name]) for name, value in stored.items())


@IN_EACH_WAY
async def test_json_that_the_server_makes_longer_is_set_aside(packed: Database) -> None:
    # MySQL's own form of numbers is longer than their text.
    numbers = "[" + ",".join("1" for _ in range(400_000)) + "]"
    rows = songs({"external_id": "1"}, {"external_id": "2", "metadata": numbers}, {"external_id": "3"})
    result = await put(packed, rows)
    assert result.counts.inserted + len(result.refused) == 3
    assert set(result.refused) <= {1}
    assert all(refusal.kind == "row_too_large" for refusal in result.refused.values())
    assert {"1", "3"} <= {row.external_id for row in await rows_of(packed)}


@pytest.mark.parametrize("packed", [(SMALL_PACKET, 1), (PACKET, 1)], indirect=True)
async def test_errors_with_long_raw_texts_stay_below_a_packet(packed: Database) -> None:
    run_id = await pending(packed)
    raws = ["\u0001" * 65_536, "🎵" * 65_536, "'\\" * 32_768, *("x" * 65_536 for _ in range(50))]
    errors = [ErrorRow("validation", "c", "m" * 300, False, line=n, raw=raw) for n, raw in enumerate(raws)]
    async with packed.write() as connection:
        await insert_errors(connection, run_id, 0, errors)
    async with packed.read() as connection:
        stored = {error.line: error.raw for error in await list_errors(connection, run_id, limit=100)}
        assert await runs.get_run(connection, run_id) is not None
    assert len(stored) == len(errors)
    for line, raw in enumerate(raws):
        kept = stored[line]
        assert kept
        assert raw.startswith(kept)
    assert stored[10] == raws[10]
