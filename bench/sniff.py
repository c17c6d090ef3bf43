"""How often the delimiter and the quote of the Pollock corpus's files are found, beside csv.Sniffer, clevercsv and DuckDB.

usage: sniff.py CORPUS.tar.xz

Truth is what the corpus says of each file. Ours is `delimiter` and `encoding` set to auto, as TestSource shows them; a
quote is not looked for, it is `"` unless told, so its column says how often that is right. clevercsv and DuckDB are taken
where they are installed beside the project (`.venv/bin/pip install clevercsv duckdb`); they are no dependency of it.
Prints a line for each: found and not, no opinion at all, and processor time a file.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import importlib
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from server.core.clock import SystemClock
from server.core.config import Settings
from server.core.errors import SyncError
from server.sources.contract import SourceContext
from server.sources.csv.options import parse_options
from server.sources.csv.reader import open_csv

_SNIFFED_BYTES = 64 * 1024

# Of a file: its delimiter and its quote, None where the tool has no opinion.
Sniffed = tuple[str | None, str | None]
Sniff = Callable[[Path, str], Sniffed]


@dataclass
class Score:
    """What a tool made of the files."""

    delimiters: int = 0
    quotes: int = 0
    silent: int = 0
    cpu_seconds: float = 0.0


def by_ours(path: Path, _encoding: str) -> Sniffed:
    """What TestSource would show."""
    context = SourceContext(Settings(data_roots=str(path.parent), csv_settle_seconds=0), SystemClock())
    options = parse_options({"delimiter": "auto", "encoding": "auto"})

    async def look() -> Any:
        reader = await open_csv(str(path), options, context)
        try:
            return reader.info.detected["delimiter"]
        finally:
            await reader.close()

    try:
        return asyncio.run(look()), '"'
    except (SyncError, KeyError):
        return None, None


def by_standard_library(path: Path, encoding: str) -> Sniffed:
    """csv.Sniffer on the file's beginning."""
    try:
        found = csv.Sniffer().sniff(_beginning(path, encoding))
    except csv.Error:
        return None, None
    return found.delimiter, found.quotechar


def by_clevercsv(path: Path, encoding: str) -> Sniffed:
    """The detection of clevercsv on the file's beginning."""
    with redirect_stdout(StringIO()):
        found = importlib.import_module("clevercsv").Detector().detect(_beginning(path, encoding))
    return (None, None) if found is None else (found.delimiter, found.quotechar)


def by_duckdb(path: Path, _encoding: str) -> Sniffed:
    """DuckDB's sniff_csv."""
    duckdb = importlib.import_module("duckdb")
    try:
        found = duckdb.execute("SELECT Delimiter, Quote FROM sniff_csv(?)", [str(path)]).fetchone()
    except duckdb.Error:
        return None, None
    return found[0], "" if found[1] == "(empty)" else found[1]


def _beginning(path: Path, encoding: str) -> str:
    return path.read_bytes()[:_SNIFFED_BYTES].decode(encoding, "replace")


def tools() -> dict[str, Sniff]:
    """Name -> tool, for those that are installed."""
    found: dict[str, Sniff] = {"techaura-sync": by_ours, "csv.Sniffer": by_standard_library}
    for name, sniff in (("clevercsv", by_clevercsv), ("duckdb", by_duckdb)):
        try:
            importlib.import_module(name)
        except ImportError:
            print(f"{name} is not installed: left out", file=sys.stderr)
        else:
            found[name] = sniff
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Unpack, ask each tool for each file, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    given = parser.parse_args(argv)
    every = tools()
    scores = {name: Score() for name in every}
    quoted = 0
    with tempfile.TemporaryDirectory() as folder, tarfile.open(given.corpus) as packed:
        packed.extractall(folder, filter="data")
        paths = sorted((Path(folder) / "csv").iterdir())
        for path in paths:
            truth = json.loads((Path(folder) / "parameters" / f"{path.name}_parameters.json").read_text())
            has_quote = bool(truth["quotechar"]) and truth["quotechar"].encode() in path.read_bytes()
            quoted += has_quote
            for name, sniff in every.items():
                began = time.process_time()
                delimiter, quote = sniff(path, truth["encoding"])
                score = scores[name]
                score.cpu_seconds += time.process_time() - began
                score.delimiters += delimiter == truth["delimiter"]
                score.quotes += has_quote and quote == truth["quotechar"]
                score.silent += delimiter is None
    print(f"{len(paths)} files, {quoted} with quotes")
    print(f"{'':16}{'delimiter':>10}{'quote':>10}{'silent':>10}{'ms a file':>12}")
    for name, score in scores.items():
        a_file = score.cpu_seconds / len(paths) * 1000
        print(f"{name:16}{score.delimiters:>10}{score.quotes:>10}{score.silent:>10}{a_file:>12.1f}")


if __name__ == "__main__":
    main()
