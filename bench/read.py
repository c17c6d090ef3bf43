"""Reading a CSV file alone, without a database: cpu seconds of each step, and peak memory against the file's size.

usage: read.py [--rows N] [--memory-mb N]

One line for each file: a clean one, one with 1 % bad rows spread evenly (a field too many), one with as many stray
quotes, one in cp1252. Steps run in one thread, so that their seconds add up; `reader` is the real reader with its
threads, from opening to the last batch. With --memory-mb the peak memory of reading a file of that size follows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import row, write_catalogue
from bench.memory import PeakMemory
from server.core.clock import SystemClock
from server.core.config import Settings
from server.execution.planning import plan_for
from server.pipeline.plan import MappingPlan
from server.pipeline.prepare import key_digests, prepare
from server.sources.contract import SourceBatch, SourceContext
from server.sources.csv.blocks import Block, BlockStart, Limits
from server.sources.csv.file_beginning import read_beginning
from server.sources.csv.options import parse_options
from server.sources.csv.reader import CsvReader, open_csv
from server.sources.csv.structure.record_frame import frame_of, mark_undecodable
from server.sources.csv.structure.records import find_records
from server.sources.source_type import MappingRequest
from server.sources.storage.streams import Caps, open_stream

_STEPS = ("bytes", "structure", "decode", "polars", "block")


class Stopwatch:
    """Cpu seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, step: str) -> Iterator[None]:
        """Count what the block takes."""
        started = time.process_time()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - started


def steps_of(path: Path, settings: Settings, encoding: str) -> dict[str, float]:
    """Cpu seconds of each step of reading a file, block by block in this thread."""
    watch = Stopwatch()
    limits = Limits(settings.csv_block_bytes, settings.csv_record_bytes_max, settings.batch_rows_max)
    descriptor = os.open(path, os.O_RDONLY)
    stream = open_stream(descriptor, path.name, "none", Caps(1 << 40, 1000))
    beginning = read_beginning(stream, path.name, parse_options({"encoding": encoding}), settings)
    dialect, width = beginning.dialect, len(beginning.columns)
    place = BlockStart(beginning.offset, beginning.line, 1)
    while True:
        with watch.timing("bytes"):
            raw = stream.read(place.offset, limits.block_bytes)
        at_end = len(raw) < limits.block_bytes
        if not raw:
            break
        with watch.timing("structure"):
            layout = find_records(raw, dialect, width, at_end=at_end, record_bytes_max=limits.record_bytes_max)
        with watch.timing("decode"):
            mark_undecodable(layout, dialect, beginning.encoding)
        with watch.timing("polars"):
            frame_of(layout, dialect, beginning.encoding, width)
        with watch.timing("block"):
            block = Block(place, layout, beginning, limits, place.offset + layout.consumed)
            for index in range(block.part_count):
                block.part(index)
        place = block.next_place
    os.close(descriptor)
    # A block decodes and parses for itself; what is left of it is its own.
    watch.seconds["block"] -= watch.seconds["decode"] + watch.seconds["polars"]
    return watch.seconds


def mapped(reader: CsvReader) -> MappingPlan:
    """The plan of a music file."""
    request = MappingRequest("content_index", {}, {"content_type": "music"})
    return plan_for(request, reader.info.columns, source_type="csv", source_identifier="f.csv")


async def read_all(
    path: Path, settings: Settings, encoding: str, use: Callable[[SourceBatch, CsvReader], object]
) -> int:
    """Read a file to its end with the real reader; answer its records."""
    reader = await open_csv(str(path), parse_options({"encoding": encoding}), SourceContext(settings, SystemClock()))
    count = 0
    try:
        async for batch in reader.batches(None, 1):
            count += batch.frame.height + len(batch.rejects)
            use(batch, reader)
    finally:
        await reader.close()
    return count


def measure(what: str, path: Path, settings: Settings, encoding: str = "utf-8") -> None:
    """Print the line of one file."""
    seconds = steps_of(path, settings, encoding)
    watch = Stopwatch()
    plans: list[MappingPlan] = []

    def use(batch: SourceBatch, reader: CsvReader) -> None:
        if not plans:
            plans.append(mapped(reader))
        with watch.timing("prepare"):
            prepare(batch, plans[0])
        with watch.timing("keys"):
            key_digests(batch, plans[0])

    started, started_cpu = time.perf_counter(), time.process_time()
    count = asyncio.run(read_all(path, settings, encoding, lambda _batch, _reader: None))
    wall, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    asyncio.run(read_all(path, settings, encoding, use))
    shown = " ".join(f"{seconds[step]:>9.2f}" for step in _STEPS)
    size = path.stat().st_size / 1e6
    print(
        f"{what:20} {size:5.0f} {count:>9,} {shown} {sum(seconds.values()):>7.2f} {wall:>6.2f} {cpu:>6.2f} "
        f"{watch.seconds['prepare']:>8.2f} {watch.seconds['keys']:>6.2f}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-mb", type=int, default=0)
    parser.add_argument("--only", type=Path, help="read this file in this process and print its peak memory")
    given = parser.parse_args()
    if given.only is not None:
        settings = Settings(data_roots=str(given.only.parent), csv_settle_seconds=0)
        asyncio.run(read_all(given.only, settings, "utf-8", lambda _batch, _reader: None))
        peak = PeakMemory(os.getpid()).peak_mib
        print(f"peak memory of a process that reads {given.only.stat().st_size / 1e6:.0f} MB: {peak:.0f} MiB")
        return
    with tempfile.TemporaryDirectory(prefix="techaura-bench-") as name:
        path = Path(name, "catalogue.csv")
        settings = Settings(data_roots=name, csv_settle_seconds=0)
        steps = " ".join(f"{step:>9}" for step in _STEPS)
        print(
            f"{'cpu seconds':20} {'MB':>5} {'records':>9} {steps} {'sum':>7} {'reader':>6} {'cpu':>6} {'prepare':>8} {'keys':>6}"
        )
        write_catalogue(path, given.rows)
        measure("clean", path, settings)
        write_catalogue(path, given.rows, bad_every=100)
        measure("1 % too many fields", path, settings)
        with path.open("w", encoding="utf-8") as stream:
            stream.write("external_id,title,artist,genre,album,year\n")
            for number in range(given.rows):
                stream.write(row(number, ' 12" mix' if number % 100 == 50 else ""))
        measure("1 % stray quotes", path, settings)
        with path.open("w", encoding="cp1252") as stream:
            stream.write("external_id,title,artist,genre,album,year\n")
            for number in range(given.rows):
                stream.write(row(number))
        measure("cp1252", path, settings, "cp1252")
        if given.memory_mb:
            block = "".join(row(number) for number in range(20_000))
            for size_mb in (given.memory_mb // 10, given.memory_mb):
                with path.open("w", encoding="utf-8") as stream:
                    stream.write("external_id,title,artist,genre,album,year\n")
                    for _ in range(size_mb * 1_000_000 // len(block.encode())):
                        stream.write(block)
                subprocess.run([sys.executable, "-m", "bench.read", "--only", str(path)], check=True)


if __name__ == "__main__":
    main()
