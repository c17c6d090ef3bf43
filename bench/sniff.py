"""How often the delimiter and the quote of a file are found, beside csv.Sniffer, clevercsv and DuckDB.

usage: sniff.py CORPUS.tar.xz [--made N]

Two sets: the Pollock corpus, whose annotations are the truth, and N made files whose dialect is drawn at random (delimiter, quote, a
title above the header, values that hold other delimiters, decimal commas, few columns and few rows). Ours is `delimiter` and `encoding` set to auto, as TestSource shows them; a
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
import random
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

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

_VALUES = {
    "amount": ["69.900,50", "1.299,00", "12,5", "0,99"],
    "price": ["69900.50", "12.5", "1,299.00"],
    "count": ["1", "20", "3000"],
    "title": ["Idilio", "La Vaca", "Tú, yo y nadie", "Uno; dos", "d'Amour", 'El "Rey"'],
    "tags": ["salsa|pop", "salsa, pop", "rock"],
    "day": ["02/01/2026", "2026-01-02"],
    "empty": ["", "x"],
}


@dataclass(frozen=True)
class Truth:
    """How a file is written."""

    delimiter: str
    quote: str
    encoding: str


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
    """DuckDB's sniff_csv, with the settings for files that are no good ones."""
    duckdb = importlib.import_module("duckdb")
    try:
        found = duckdb.execute(
            "SELECT Delimiter, Quote FROM sniff_csv(?, null_padding = true, strict_mode = false)", [str(path)]
        ).fetchone()
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


def annotated(corpus: Path, folder: Path) -> Iterator[tuple[Path, Truth]]:
    """The files of the corpus, unpacked."""
    with tarfile.open(corpus) as packed:
        packed.extractall(folder, filter="data")
    for path in sorted((folder / "csv").iterdir()):
        truth = json.loads((folder / "parameters" / f"{path.name}_parameters.json").read_text())
        yield path, Truth(truth["delimiter"], truth["quotechar"], truth["encoding"])


def made(count: int, folder: Path) -> Iterator[tuple[Path, Truth]]:
    """Files of every dialect that people write; each from its own number."""
    for number in range(count):
        pick = random.Random(number)
        delimiter, quote = pick.choice(",,;;\t|"), pick.choice('""\'')
        always = pick.random() < 0.3
        text = StringIO()
        if pick.random() < 0.2:
            text.write(pick.choice(["Ventas, enero 2026", "Informe; total", "Export 2026-01-02"]) + "\n")
        quoting: Literal[0, 1] = csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL
        writer = csv.writer(text, delimiter=delimiter, quotechar=quote, quoting=quoting, lineterminator="\n")
        kinds = pick.choices(sorted(_VALUES), k=pick.choice([2, 3, 3, 5, 8]))
        writer.writerow(f"{kind}_{at}" for at, kind in enumerate(kinds))
        for _ in range(pick.choice([1, 3, 10, 50])):
            writer.writerow(pick.choice(_VALUES[kind]) for kind in kinds)
        path = folder / f"made_{number}.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        yield path, Truth(delimiter, quote, "utf-8")


def measure(files: Iterator[tuple[Path, Truth]], every: dict[str, Sniff]) -> None:
    """Ask each tool for each file, and print the table."""
    scores = {name: Score() for name in every}
    count = quoted = 0
    for path, truth in files:
        has_quote = bool(truth.quote) and truth.quote.encode() in path.read_bytes()
        count += 1
        quoted += has_quote
        for name, sniff in every.items():
            began = time.process_time()
            delimiter, quote = sniff(path, truth.encoding)
            score = scores[name]
            score.cpu_seconds += time.process_time() - began
            score.delimiters += delimiter == truth.delimiter
            score.quotes += has_quote and quote == truth.quote
            score.silent += delimiter is None
    print(f"{count} files, {quoted} with quotes")
    print(f"{'':16}{'delimiter':>10}{'quote':>10}{'silent':>10}{'ms a file':>12}")
    for name, score in scores.items():
        a_file = score.cpu_seconds / max(count, 1) * 1000
        print(f"{name:16}{score.delimiters:>10}{score.quotes:>10}{score.silent:>10}{a_file:>12.1f}")


def main(argv: Sequence[str] | None = None) -> None:
    """Both sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--made", type=int, default=500, metavar="N")
    given = parser.parse_args(argv)
    every = tools()
    with tempfile.TemporaryDirectory() as folder:
        print("made")
        measure(made(given.made, Path(folder)), every)
        print("\nPollock")
        measure(annotated(given.corpus, Path(folder)), every)


if __name__ == "__main__":
    main()
