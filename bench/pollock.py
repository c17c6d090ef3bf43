"""Loads the Pollock corpus of polluted CSV files through the csv source and prints the scorer's lines.

usage: pollock.py CORPUS.tar.xz

Each file is read with the dialect that the corpus gives for it and nothing else; what is loaded and what is rejected is
written where the scorer (score.py beside the archive) looks for it. A file that the source refuses is left out, and
counted by the scorer as refused.
"""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.core.clock import SystemClock
from server.core.config import Settings
from server.core.errors import SyncError
from server.sources.base import SourceContext
from server.sources.csv.options import CsvOptions, parse_options
from server.sources.csv.reader import open_csv


def options_of(parameters: dict[str, Any]) -> CsvOptions:
    """The options for a dialect as the corpus writes it down."""
    quote = parameters["quotechar"]
    escape = parameters["escapechar"]
    document: dict[str, Any] = {
        "delimiter": parameters["delimiter"] or ",",
        "quote": quote,
        "escape": None if escape == quote else escape,
        "encoding": parameters["encoding"],
        "preambleLines": parameters["preamble_lines"],
        "hasHeader": parameters["header_lines"] > 0,
        "headerLines": max(parameters["header_lines"], 1),
    }
    return parse_options(document)


async def load(path: Path, options: CsvOptions, context: SourceContext, loaded: Path) -> None:
    """Read one file; write its header and rows, and its rejects."""
    reader = await open_csv(str(path), options, context)
    rows: list[Sequence[str]] = []
    rejects: list[str] = []
    try:
        if "header" in reader.info.detected:
            rows.append(reader.info.detected["header"])
        async for batch in reader.batches(None, 1):
            rows += batch.frame.rows()
            rejects += [f"{reject.kind} {reject.line} {reject.byte_offset}" for reject in batch.rejects]
    finally:
        await reader.close()
    with (loaded / f"{path.name}.loaded.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(rows)
    (loaded / f"{path.name}.rejects").write_text("".join(f"{line}\n" for line in rejects), encoding="utf-8")


async def load_corpus(corpus: Path, loaded: Path) -> list[str]:
    """Load every file of an unpacked corpus; answer the ones that were refused, with the reason."""
    context = SourceContext(Settings(data_roots=str(corpus), csv_settle_seconds=0), SystemClock())
    refused: list[str] = []
    for path in sorted((corpus / "csv").iterdir()):
        parameters = json.loads((corpus / "parameters" / f"{path.name}_parameters.json").read_text())
        try:
            await load(path, options_of(parameters), context, loaded)
        except SyncError as error:
            refused.append(f"{path.name}: {error.message}")
    return refused


def main(argv: Sequence[str] | None = None) -> int:
    """Unpack, load, score."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 1:
        print(__doc__)
        return 2
    archive = Path(arguments[0]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        corpus, loaded = Path(folder, "corpus"), Path(folder, "loaded")
        loaded.mkdir()
        with tarfile.open(archive) as packed:
            packed.extractall(corpus, filter="data")
        for line in asyncio.run(load_corpus(corpus, loaded)):
            print("refused:", line)
        scored = subprocess.run([sys.executable, archive.parent / "score.py", corpus, loaded], check=False)
        return scored.returncode


if __name__ == "__main__":
    sys.exit(main())
