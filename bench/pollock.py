"""Loads the Pollock corpus of polluted CSV files into tables of text columns and prints the scorer's lines.

usage: pollock.py CORPUS.tar.xz [--server mariadb|mysql] [--losses]

Each file is read with the dialect that the corpus gives for it and nothing else. Rows go the way of a run: the csv
reader, `plan_mapping`, `prepare` (text kept as it stands), the loader's upsert; what the scorer sees is what the database
answers. A file that the source refuses is left out, and counted by the scorer as refused. The tables stand in an
embedded database, or with --server in a private server of that kind. --losses adds one line for each file below 10 points.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import importlib.util
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Integer, String, Table, Text, select
from sqlalchemy.dialects import mysql

from db.engine import Database
from db.loaders.upsert import load
from db.records import LoadSpec
from db.schema import metadata
from server.core.clock import SystemClock
from server.core.config import Settings
from server.core.errors import SyncError
from server.pipeline.mapping import plan_mapping
from server.pipeline.prepare import prepare
from server.sources.contract import SourceContext
from server.sources.csv.options import CsvOptions, parse_options
from server.sources.csv.reader import CsvReader, open_csv
from server.targets.base import Target, TargetColumn
from tests.support.database_server import KINDS, server_running

_KEY = "row_key"


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


def text_table(name: str, width: int) -> tuple[Table, Target]:
    """A table of text columns for one file, as the database and as the pipeline knows it; rows are told apart by number."""
    long_text = Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")
    columns = [f"c{number}" for number in range(1, width + 1)]
    table = Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column(_KEY, String(64), unique=True, nullable=False),
        *(Column(column, long_text) for column in columns),
        *(
            Column(own, metadata.tables["content_index"].c[own].type)
            for own in ("row_hash", "column_marks", "deactivated_by_run")
        ),
        Column("created_at", DateTime),
        Column("updated_at", DateTime),
        Column("is_available", Boolean),
    )
    target = Target(
        name=name,
        columns=(TargetColumn(_KEY, "text"), *(TargetColumn(column, "text") for column in columns)),
        constants=(),
        key=(_KEY,),
        content_key=tuple(columns),
        identity_column=_KEY,
    )
    return table, target


async def load_file(reader: CsvReader, name: str, database: Database) -> tuple[list[Sequence[str]], list[str]]:
    """Load one file into a table of its own; answer what the table holds then, and what was rejected."""
    source_columns = reader.info.columns
    if not source_columns:
        # An empty file: there is nothing to make a table of.
        return [], []
    table, target = text_table(name, len(source_columns))
    async with database.write() as connection:
        await connection.run_sync(table.create)
    columns = [column.name for column in target.columns if column.name != _KEY]
    requested = dict(zip(columns, source_columns, strict=True))
    plan = plan_mapping(target, source_columns, requested, {}, identity="row_number", strip_text=False)
    spec = LoadSpec(name, (_KEY, *columns), {}, (_KEY,), None, 12.0, None, (), lambda _name, _values: [])
    rejects: list[str] = []
    async for batch in reader.batches(None, 1):
        prepared = prepare(batch, plan)
        rejects += [f"{reject.kind} {reject.line} {reject.byte_offset}" for reject in prepared.rejects]
        async with database.write() as connection:
            result = await load(connection, spec, prepared.rows)
        rejects += [f"not_storable {index}" for index in (*result.collided, *result.damaged, *result.refused)]
    async with database.read() as connection:
        found = await connection.execute(select(*(table.c[column] for column in columns)).order_by(table.c["id"]))
        rows: list[Sequence[str]] = [[value or "" for value in row] for row in found]
    async with database.write() as connection:
        await connection.run_sync(table.drop)
    metadata.remove(table)
    return rows, rejects


async def load_corpus(corpus: Path, loaded: Path, database: Database) -> list[str]:
    """Load every file of an unpacked corpus; answer the ones that were refused, with the reason."""
    context = SourceContext(Settings(data_roots=str(corpus), csv_settle_seconds=0), SystemClock())
    refused: list[str] = []
    for number, path in enumerate(sorted((corpus / "csv").iterdir())):
        parameters = json.loads((corpus / "parameters" / f"{path.name}_parameters.json").read_text())
        try:
            reader = await open_csv(str(path), options_of(parameters), context)
            try:
                rows, rejects = await load_file(reader, f"file_{number}", database)
            finally:
                await reader.close()
        except SyncError as error:
            refused.append(f"{path.name}: {error.message}")
            continue
        header = [reader.info.detected["header"]] if "header" in reader.info.detected else []
        with (loaded / f"{path.name}.loaded.csv").open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows([*header, *rows])
        (loaded / f"{path.name}.rejects").write_text("".join(f"{line}\n" for line in rejects), encoding="utf-8")
    return refused


def print_losses(scorer: Path, corpus: Path, loaded: Path) -> None:
    """One line for each file below 10 points: weighted loss, points, rows loaded of rows there, rejects."""
    spec = importlib.util.spec_from_file_location("score", scorer)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{scorer} is no Python file")
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    weights = json.loads((corpus / "weights.json").read_text())
    lines = []
    for path in loaded.glob("*.loaded.csv"):
        name = path.name.removesuffix(".loaded.csv")
        truth, rows = score.read_rows(corpus / "clean" / name), score.read_rows(path)
        points = score.score_file(truth, rows)
        if points < 10:
            rejects = len((loaded / f"{name}.rejects").read_text().splitlines())
            loss = (10 - points) * weights[name] / sum(weights.values())
            lines.append((loss, f"{loss:.6f} {points:.4f} {len(rows)}/{len(truth)} {rejects} {name}"))
    for _loss, line in sorted(lines, reverse=True):
        print("loss", line)


def main(argv: Sequence[str] | None = None) -> int:
    """Unpack, load, score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--server", choices=sorted(KINDS))
    parser.add_argument("--losses", action="store_true")
    given = parser.parse_args(argv)
    archive = given.corpus.resolve()
    scorer = archive.parent / "score.py"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite+aiosqlite:///{folder / 'pollock.db'}"
        if given.server:
            server = stack.enter_context(server_running(kind=given.server))
            url = server.url(server.new_database())
        corpus, loaded = folder / "corpus", folder / "loaded"
        loaded.mkdir()
        with tarfile.open(archive) as packed:
            packed.extractall(corpus, filter="data")

        async def work() -> list[str]:
            database = Database(url)
            try:
                return await load_corpus(corpus, loaded, database)
            finally:
                await database.close()

        for line in asyncio.run(work()):
            print("refused:", line)
        if given.losses:
            print_losses(scorer, corpus, loaded)
        scored = subprocess.run([sys.executable, scorer, corpus, loaded], check=False)
        return scored.returncode


if __name__ == "__main__":
    sys.exit(main())
