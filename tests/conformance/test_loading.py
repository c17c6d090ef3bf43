"""Every source type through every door into every target table: the real program, gRPC, REST and the command line.

The source type of these tests is installed beside the program as any package is: by an entry point.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import create_engine, text
from techaura_sync import SyncClient, sync_spec

from server.sources.registry import CUSTOM_GROUP
from tests.conformance.samples import SAMPLES, TABLE_ROWS, TABLES, Sample, table_rows
from tests.conftest import DATABASES
from tests.support.database_server import DatabaseServer
from tests.support.programs import run
from tests.support.service import Service, environment, service_running

PROJECT: Final = Path(__file__).parents[2]


def install_sequence(folder: Path) -> str:
    """What `pip install` leaves of a package with a source type; return the PYTHONPATH that has it."""
    metadata = folder / "sequence_source-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sequence-source\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[{CUSTOM_GROUP}]\nsequence = tests.conformance.sequence_source:SEQUENCE\n"
    )
    return os.pathsep.join([str(folder), str(PROJECT)])


class Installed:
    """A running program with the samples beside it, and its database."""

    def __init__(self, service: Service, samples: Mapping[str, Sample], url: str) -> None:
        self.service = service
        self.samples = samples
        self._url = url.replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")

    def rows(self, table: str, columns: tuple[str, ...], source_type: str) -> list[dict[str, Any]]:
        """What stands in a target table, as text."""
        where = "WHERE source_type = :type" if table == "content_index" else ""
        engine = create_engine(self._url)
        with engine.connect() as connection:
            found = connection.execute(
                text(f"SELECT {', '.join(columns)} FROM {table} {where} ORDER BY {columns[-2]}"),
                {"type": source_type} if where else {},
            )
            rows = [{name: str(value) for name, value in row._mapping.items()} for row in found]
        engine.dispose()
        return rows

    def clear(self, table: str) -> None:
        """Take all rows out of a target table."""
        engine = create_engine(self._url)
        with engine.begin() as connection:
            connection.execute(text(f"DELETE FROM {table}"))
        engine.dispose()


@pytest.fixture(scope="module", params=DATABASES)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("installed")
    data_root = folder / "data"
    data_root.mkdir()
    with ExitStack() as stack:
        url = f"sqlite+aiosqlite:///{folder / 'sync.db'}"
        if request.param != "sqlite":
            server: DatabaseServer = request.getfixturevalue("database_server")
            name = server.new_database()
            stack.callback(server.drop_database, name)
            url = server.url(name)
        samples = {kind: stack.enter_context(make(data_root)) for kind, make in SAMPLES.items()}
        environ = environment(url, data_root) | {"PYTHONPATH": install_sequence(folder / "packages")}
        # A forked program would not look at PYTHONPATH.
        service = stack.enter_context(service_running(folder, environ, installed=True))
        yield Installed(service, samples, url)


Door = Callable[[Service, str, str, Mapping[str, Any]], int]


def over_grpc(service: Service, source_type: str, identifier: str, options: Mapping[str, Any]) -> int:
    with SyncClient(service.grpc_target) as client:
        *_earlier, last = client.trigger(sync_spec(source_type, identifier, dict(options)))
    return int(last.progress.sync_run_id)


def over_rest(service: Service, source_type: str, identifier: str, options: Mapping[str, Any]) -> int:
    return service.trigger(source_type, identifier, options)


def on_the_command_line(service: Service, source_type: str, identifier: str, options: Mapping[str, Any]) -> int:
    named = (source_type, identifier) if source_type in ("csv", "api") else ("custom", source_type, identifier)
    asked = ("--target", service.grpc_target, "--json", "trigger", *named, "--options", json.dumps(options))
    return int(json.loads(run("techaura-sync", *asked, check=True).stdout)["syncRunId"])


DOORS: Final[Mapping[str, Door]] = {"gRPC": over_grpc, "REST": over_rest, "command line": on_the_command_line}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", SAMPLES)
def test_rows_arrive_through_each_door_in_each_table(installed: Installed, kind: str, table: str) -> None:
    source_type = installed.samples[kind].kind.name
    identifier, options = installed.samples[kind].tables[table]
    columns = tuple(TABLES[table])
    for number, door in enumerate(DOORS.values()):
        told = installed.service.finished(door(installed.service, source_type, identifier, options))
        assert (told["failure"], told["status"], told["sourceType"]) == (None, "completed", source_type)
        read, inserted = told["ledger"]["rowsRead"], told["ledger"]["inserted"]
        assert (read, inserted) == (TABLE_ROWS, 0 if number else TABLE_ROWS)
        assert installed.rows(table, columns, source_type) == table_rows(table)
    installed.clear(table)


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_whole_source_is_counted_to_the_last_record(installed: Installed, kind: str) -> None:
    sample = installed.samples[kind]
    told = installed.service.run(sample.kind.name, sample.identifier, sample.options)
    assert told["failure"] is None
    ledger = told["ledger"]
    assert ledger["rowsRead"] == ledger["inserted"] + ledger["rejected"]
    assert ledger["rejected"] == len(installed.service.get(f"/v1/sync/{told['syncRunId']}/errors")[1]["data"])


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_source_is_tested_and_scheduled_as_it_is_run(installed: Installed, kind: str) -> None:
    source_type = installed.samples[kind].kind.name
    identifier, options = installed.samples[kind].tables["catalog_items"]
    source = {"sourceType": source_type, "sourceIdentifier": identifier, "options": options}
    status, tested = installed.service.post("/v1/sync/test", source)
    assert (status, tested["data"]["itemCount"]) == (200, TABLE_ROWS), tested
    status, made = installed.service.post("/v1/sync/schedules", source | {"cron": "0 3 * * *"})
    assert (status, made["data"]["sourceType"]) == (200, source_type), made
    shown = json.dumps(made)
    assert not [secret for secret in installed.samples[kind].secrets if secret in shown]


def test_a_run_waits_for_a_replica_that_knows_its_source_type(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'sync.db'}"
    (tmp_path / "songs.csv").write_text("title\na\n")
    environ = environment(url, tmp_path)
    packages = install_sequence(tmp_path / "packages")
    with service_running(tmp_path, environ | {"PYTHONPATH": packages}, installed=True) as knowing:
        paused = knowing.trigger(
            "sequence", "3", {"columns": TABLES["content_index"], "breakAt": 0}
        )  # it fails once it is read
        assert knowing.post(f"/v1/sync/{paused}/pause")[0] == 200
    with service_running(tmp_path, environ) as other:
        assert other.post(f"/v1/sync/{paused}/continue")[0] == 200
        # What came later is claimed first, so the earlier one was passed over.
        assert other.run("csv", "songs.csv")["status"] == "completed"
        assert other.get(f"/v1/sync/{paused}")[1]["data"]["status"] == "pending"
        status, refused = other.post("/v1/sync/trigger", {"sourceType": "sequence", "sourceIdentifier": "3"})
        assert (status, refused["reason"]) == (400, "UNKNOWN_SOURCE_TYPE")
    with service_running(tmp_path, environ | {"PYTHONPATH": packages}, installed=True) as knowing:
        assert knowing.finished(paused)["failure"]["reason"] == "SOURCE_UNAVAILABLE"
