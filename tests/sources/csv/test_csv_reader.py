"""Batches, positions, resuming, and files that change while they are read."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import FatalError, RetryableError
from server.sources.csv.options import parse_options
from server.sources.csv.reader import open_csv
from tests.sources.csv.reading import Reading, context_for, read_bytes, read_path, rows_of

LINES = [b"a,b\n", *(b'%d,"x\ny %d"\n' % (n, n) if n % 5 else b'%d,bad",\n' % n for n in range(400))]
CONTENT = b"".join(LINES)


def test_batches_are_numbered_and_account_for_every_record(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, CONTENT, csv_block_bytes=256)
    assert len(reading.batches) > 10
    assert [batch.batch_no for batch in reading.batches] == list(range(1, len(reading.batches) + 1))
    assert len(reading.rows) + len(reading.rejects) == 400
    assert [batch.bytes_done for batch in reading.batches] == sorted({b.bytes_done for b in reading.batches})
    assert reading.batches[-1].bytes_done == len(CONTENT) == reading.info.bytes_total


def test_the_size_of_a_block_changes_nothing_but_the_batches(tmp_path: Path) -> None:
    readings = [read_bytes(tmp_path, CONTENT, csv_block_bytes=size) for size in (1, 17, 256, 4096, 1 << 20)]
    assert all(reading.rows == readings[0].rows for reading in readings)
    assert all(reading.rejects == readings[0].rejects for reading in readings)


def test_a_block_with_many_records_is_several_batches_of_like_size(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, CONTENT, batch_rows_max=150)
    whole = read_bytes(tmp_path, CONTENT)
    assert [batch.frame.height + len(batch.rejects) for batch in reading.batches] == [134, 134, 132]
    assert (reading.rows, reading.rejects) == (whole.rows, whole.rejects)


@pytest.mark.parametrize(
    "settings", [{"csv_block_bytes": 256}, {"batch_rows_max": 7}, {"csv_block_bytes": 1000, "batch_rows_max": 9}]
)
async def test_a_run_resumed_after_any_batch_gets_the_rest(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "songs.csv").write_bytes(CONTENT)
    whole = await read_path("songs.csv", context_for(tmp_path, **settings))
    for index, batch in enumerate(whole.batches):
        position = json.loads(json.dumps(batch.position))
        # The resuming server may have other settings; the position keeps to those of the first.
        rest = await read_path("songs.csv", context_for(tmp_path, csv_block_bytes=100), after=position)
        expected = whole.batches[index + 1 :]
        assert [rows_of(batch) for batch in rest.batches] == [rows_of(batch) for batch in expected]
        assert [batch.rejects for batch in rest.batches] == [batch.rejects for batch in expected]
        assert [batch.position for batch in rest.batches] == [batch.position for batch in expected]


async def test_batch_numbers_go_on_where_the_caller_says(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_bytes(CONTENT)
    reader = await open_csv("songs.csv", parse_options({}), context_for(tmp_path, csv_block_bytes=4096))
    assert [batch.batch_no async for batch in reader.batches(None, 41)][:2] == [41, 42]
    await reader.close()


async def test_a_source_can_be_read_again_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_bytes(CONTENT)
    reader = await open_csv("songs.csv", parse_options({}), context_for(tmp_path))
    assert reader.info.rereadable
    first = [rows_of(batch) async for batch in reader.batches(None, 1)]
    assert [rows_of(batch) async for batch in reader.batches(None, 1)] == first
    await reader.close()


async def test_reading_may_be_abandoned_at_any_batch(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_bytes(CONTENT)
    before = _open_descriptors()
    reader = await open_csv("songs.csv", parse_options({}), context_for(tmp_path, csv_block_bytes=256))
    batches = reader.batches(None, 1)
    assert (await anext(batches)).batch_no == 1
    await batches.aclose()
    await reader.close()
    await reader.close()
    assert _open_descriptors() <= before


def _open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


async def test_a_cancelled_reader_can_be_closed(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_bytes(CONTENT)
    reader = await open_csv("songs.csv", parse_options({}), context_for(tmp_path, csv_block_bytes=256))

    async def read_all() -> int:
        return len([batch async for batch in reader.batches(None, 1)])

    task = asyncio.create_task(read_all())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await reader.close()


async def _read_until_changed(path: Path, change: object) -> tuple[list[int], BaseException]:
    """Read batch by batch; after the second one `change` is called."""
    assert callable(change)
    reader = await open_csv(path.name, parse_options({}), context_for(path.parent, csv_block_bytes=1024))
    numbers: list[int] = []
    try:
        async for batch in reader.batches(None, 1):
            numbers.append(batch.batch_no)
            if len(numbers) == 2:
                change()
    except (RetryableError, FatalError) as error:
        return numbers, error
    finally:
        await reader.close()
    raise AssertionError("the change went unnoticed")


@pytest.mark.parametrize("how", ["truncated", "emptied", "grown", "overwritten", "touched"])
async def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, how: str) -> None:
    path = tmp_path / "songs.csv"
    path.write_bytes(CONTENT)

    def change() -> None:
        if how == "truncated":
            os.truncate(path, len(CONTENT) // 2)
        elif how == "emptied":
            os.truncate(path, 0)
        elif how == "grown":
            with path.open("ab") as handle:
                handle.write(b"1,2\n")
        elif how == "overwritten":
            with path.open("r+b") as handle:
                handle.write(b"x")
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        else:
            os.utime(path, (0, 0))

    numbers, error = await _read_until_changed(path, change)
    assert isinstance(error, RetryableError)
    assert error.reason == "SOURCE_CHANGED"
    assert numbers[:2] == [1, 2]


async def test_a_file_that_is_replaced_is_read_as_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "songs.csv"
    path.write_bytes(CONTENT)
    reader = await open_csv("songs.csv", parse_options({}), context_for(tmp_path, csv_block_bytes=256))
    other = tmp_path / "other.csv"
    other.write_bytes(b"a,b\n")
    other.replace(path)
    assert sum([batch.frame.height + len(batch.rejects) async for batch in reader.batches(None, 1)]) == 400
    await reader.close()


async def test_a_position_of_another_content_is_refused(tmp_path: Path) -> None:
    whole = await _write_and_read(tmp_path, CONTENT)
    position = whole.batches[0].position
    (tmp_path / "songs.csv").write_bytes(CONTENT + b"1,2\n")
    with pytest.raises(RetryableError) as caught:
        await read_path("songs.csv", context_for(tmp_path), after=position)
    assert caught.value.reason == "SOURCE_CHANGED"


async def _write_and_read(folder: Path, content: bytes) -> Reading:
    (folder / "songs.csv").write_bytes(content)
    return await read_path("songs.csv", context_for(folder, csv_block_bytes=1024))


@pytest.mark.parametrize("position", [{}, {"page": 3}, {"offset": "x"}])
async def test_a_position_of_another_kind_of_source_is_refused(tmp_path: Path, position: dict[str, object]) -> None:
    (tmp_path / "songs.csv").write_bytes(CONTENT)
    with pytest.raises(FatalError):
        await read_path("songs.csv", context_for(tmp_path), after=position)


async def test_the_fingerprint_changes_with_the_content_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "songs.csv"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(0, 1_000_000_000))
    context = context_for(tmp_path)
    first = (await read_path("songs.csv", context)).info.fingerprint
    assert (await read_path("songs.csv", context)).info.fingerprint == first
    path.write_bytes(CONTENT.replace(b"x\ny 399", b"x\nz 399"))
    os.utime(path, ns=(0, 1_000_000_000))
    assert (await read_path("songs.csv", context)).info.fingerprint != first


async def test_what_was_found_out_is_json(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_bytes("a;b\né;2\n".encode("cp1252"))
    reading = await read_path("songs.csv", context_for(tmp_path), {"delimiter": "auto", "encoding": "auto"})
    detected = json.loads(json.dumps(reading.info.detected))
    assert {name: detected[name] for name in ("delimiter", "compression", "header", "headerLine", "lineBreak")} == {
        "delimiter": ";",
        "compression": "none",
        "header": ["a", "b"],
        "headerLine": 1,
        "lineBreak": "lf",
    }
