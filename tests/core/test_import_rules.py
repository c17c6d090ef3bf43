"""The import rules of ARCHITECTURE.md refuse what they should: violations are planted in a copy of the code."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
# What is planted where -> the contract that must refuse it.
PLANTED = {
    ("server/core/clock.py", "import server.sources.contract"): "server",
    ("server/execution/verdict.py", "import server.runs.service"): "server",
    ("server/runs/triggers.py", "import server.schedules.firing"): "server",
    ("server/targets/base.py", "import server.sources.contract"): "server",
    ("server/sources/storage/files.py", "import server.sources.csv.options"): "sources",
    ("server/sources/contract.py", "import server.sources.registry"): "sources",
    ("server/sources/api/items/paths.py", "import server.sources.api.http.client"): "api",
    ("server/sources/api/http/transport.py", "import server.sources.api.paging.counted"): "api",
    ("server/sources/csv/encodings.py", "import server.sources.csv.reader"): "csv",
    ("server/sources/ndjson/line_cutter.py", "import server.sources.ndjson.ndjson_format"): "ndjson",
    ("server/sources/workbook/cells.py", "import server.sources.workbook.xlsx_rows"): "workbook",
    ("server/sources/parquet/value_texts.py", "import server.sources.parquet.parquet_format"): "parquet",
    ("db/repositories/leases.py", "import db.loaders.upsert"): "database",
    ("server/sources/csv/reader.py", "import db.engine"): "db_engines",
    ("server/targets/registry.py", "import db.schema"): "db_engines",
    ("server/core/config.py", "import sqlalchemy"): "db_engines",
    ("server/execution/worker.py", "import grpc"): "grpc",
    ("server/metrics/server_metrics.py", "import grpc"): "grpc",
    ("server/execution/run_loop.py", "import server.metrics.server_metrics"): "server",
    ("server/schedules/service.py", "import techaura.sync.v1.resources_pb2"): "grpc",
    ("server/pipeline/prepare.py", "import asyncio"): "pipeline",
    ("db/engine.py", "import server.core.clock"): "db",
    ("gateway/app.py", "import server.core.config"): "gateway",
    ("gateway/instruments.py", "import server.metrics.definitions"): "gateway",
    ("gateway/app.py", "import db.engine"): "gateway",
    ("gateway/documentation.py", "import scripts.openapi.document"): "generator",
}


def test_each_rule_refuses_what_breaks_it(tmp_path: Path) -> None:
    for package in ("server", "gateway", "db"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, line in PLANTED:
        with (tmp_path / file).open("a") as stream:
            stream.write(f"\n\ndef _planted() -> None:\n    {line}\n")
    program = Path(sys.executable).with_name("lint-imports")
    config = PROJECT / ".importlinter"
    done = subprocess.run(
        [program, "--no-cache", "--config", config], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    said = re.sub(r"\s+", " ", done.stdout)
    rules = configparser.ConfigParser()
    rules.read(config)
    broken = said.split("Broken contracts", 1)[1]
    for (file, line), rule in PLANTED.items():
        module = file.removesuffix(".py").replace("/", ".")
        imported = line.removeprefix("import ")
        # A package that is not ours is known by its first name.
        imported = imported if imported.startswith(("server.", "db.")) else imported.split(".")[0]
        assert re.search(rf"{module} -> {imported}\b", broken), f"{module} may import {imported}"
        assert f"{rules[f'importlinter:contract:{rule}']['name']} BROKEN" in said
    assert set(PLANTED.values()) == {
        section.rpartition(":")[2] for section in rules.sections() if ":contract:" in section
    }
