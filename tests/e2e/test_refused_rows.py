"""Rules that a bot has on its tables, met by the real program: a refused row is listed, and costs that row alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from techaura.sync.v1 import sync_service_pb2
from techaura_sync.client import SyncClient

from db.engine import Database
from tests.e2e.test_csv_to_table import rows
from tests.e2e.test_row_errors import listed
from tests.support.database_server import DatabaseServer
from tests.support.rules import Administrator
from tests.support.service import Service

HEAD = "external_id,title,artist\n"
GUARD = "guard"


class Rules:
    """Sets rules on the tables of a running service."""

    def __init__(self, service: Service, server: DatabaseServer | None) -> None:
        self._service, self._server = service, server

    def refuse(self, event: str, condition: str, words: str, table: str = "content_index") -> None:
        """A trigger that refuses rows where a condition over NEW holds."""
        self._run(lambda administrator: administrator.add_trigger(event, table, condition, words, name=GUARD))

    def execute(self, *statements: str) -> None:
        """Run statements."""
        self._run(lambda administrator: administrator.execute(*statements))

    def _run(self, work: Any) -> None:
        async def done() -> None:
            database = Database(self._service.environ["TECHAURA_SYNC_DATABASE_URL"])
            try:
                await work(Administrator(database, self._server))
            finally:
                await database.close()

        asyncio.run(done())


@pytest.fixture
def rules(service: Service, request: pytest.FixtureRequest) -> Iterator[Rules]:
    is_sqlite = make_url(service.environ["TECHAURA_SYNC_DATABASE_URL"]).drivername.startswith("sqlite")
    made = Rules(service, None if is_sqlite else request.getfixturevalue("database_server"))
    yield made
    made.execute(f"DROP TRIGGER IF EXISTS {GUARD}")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name.split('[')[0]}.csv"


def put(service: Service, name: str, titles: dict[int, str], count: int = 400) -> str:
    """A file of numbered songs; answer its content."""
    content = HEAD + "".join(f"id-{n},{titles.get(n, f'Canción {n}')},Alguien\n" for n in range(count))
    (service.data_root / name).write_text(content)
    return content


def stored(service: Service, name: str) -> dict[str, str]:
    query = "SELECT external_id, title FROM content_index WHERE source_identifier = :name"
    return dict(rows(service, query, name=name))


def test_one_refused_row_of_400_is_listed_and_the_others_are_written(service: Service, rules: Rules, name: str) -> None:
    rules.refuse("BEFORE INSERT", "NEW.title = 'X'", "no X here")
    content = put(service, name, {137: "X"})
    run = service.run("csv", name)
    assert (run["status"], run["ledger"]["inserted"], run["ledger"]["rejected"]) == ("completed", 399, 1)
    (error,) = listed(service, run["syncRunId"])
    offset = content[: content.index("id-137,X")].encode()
    assert (error["code"], error["line"], error["byteOffset"], error["raw"]) == (
        "refused_by_table", 139, len(offset), "id-137,X,Alguien",
    )  # fmt: skip
    assert "no X here" in error["message"]
    with SyncClient(service.grpc_target) as client:
        request = sync_service_pb2.ListSyncErrorsRequest(sync_run_id=run["syncRunId"])
        (same,) = client.list_errors(request).errors
    assert (same.code, same.line) == ("refused_by_table", 139)
    assert len(stored(service, name)) == 399
    assert "no X here" not in service.log()


def test_a_refused_change_leaves_the_row_and_a_mirror_does_not_switch_it_off(
    service: Service, rules: Rules, name: str
) -> None:
    mirror = {"mode": "mirror"}
    put(service, name, {})
    assert service.run("csv", name, mirror)["ledger"]["inserted"] == 400
    rules.refuse("BEFORE UPDATE", "NEW.title = 'X'", "no X here")
    put(service, name, {7: "X", 8: "Y"})
    run = service.run("csv", name, mirror)
    ledger = run["ledger"]
    assert (run["status"], ledger["updated"], ledger["unchanged"], ledger["rejected"]) == ("completed", 1, 398, 1)
    assert [error["line"] for error in listed(service, run["syncRunId"])] == [9]
    found = stored(service, name)
    assert (found["id-7"], found["id-8"]) == ("Canción 7", "Y")
    query = "SELECT COUNT(*) FROM content_index WHERE source_identifier = :name AND is_available = 1"
    assert rows(service, query, name=name) == [(400,)]


def test_refused_rows_of_several_batches_are_all_listed(service: Service, rules: Rules, name: str) -> None:
    count, bad = 12_000, dict.fromkeys(range(0, 12_000, 300), "X")
    rules.refuse("BEFORE INSERT", "NEW.title = 'X'", "no X here")
    put(service, name, bad, count)
    run = service.run("csv", name)
    assert run["ledger"]["inserted"] == count - len(bad), str(run["failure"]) + service.log()[-3000:]
    assert [error["line"] for error in listed(service, run["syncRunId"])] == [n + 2 for n in bad]
    put(service, name, {n: "X" if n in bad else f"new {n}" for n in range(0, count, 10)} | bad, count)
    again = service.run("csv", name)
    assert again["status"] == "completed", again["failure"]
    assert (again["ledger"]["updated"], again["ledger"]["rejected"]) == (1200 - len(bad), len(bad))
    assert len(stored(service, name)) == count - len(bad)


def test_a_table_that_refuses_every_row_ends_the_run_once(service: Service, rules: Rules, name: str) -> None:
    rules.refuse("BEFORE INSERT", "NEW.artist = 'Alguien'", "a secret of the table")
    put(service, name, {})
    run = service.run("csv", name)
    failure = run["failure"]
    assert (run["status"], failure["reason"], failure["category"], failure["retryable"]) == (
        "failed", "TARGET_REFUSED", "validation", False,
    )  # fmt: skip
    assert "content_index refuses every row alike" in failure["message"]
    assert failure["nextStep"]
    assert "a secret of the table" not in json.dumps(run) + service.log()
    assert stored(service, name) == {}


def test_a_column_that_nobody_fills_ends_the_run_by_its_name(service: Service, rules: Rules, name: str) -> None:
    if "sqlite" in service.environ["TECHAURA_SYNC_DATABASE_URL"]:
        pytest.skip("SQLite adds no such column to a table")
    put(service, name, {}, 5)
    rules.execute("ALTER TABLE content_index ADD COLUMN owner VARCHAR(20) NOT NULL")
    try:
        failure = service.run("csv", name)["failure"]
        assert (failure["reason"], failure["retryable"]) == ("TARGET_REFUSED", False)
        assert "content_index.owner" in failure["message"]
        assert "ALTER TABLE content_index MODIFY owner varchar(20) NULL" in failure["nextStep"]
    finally:
        rules.execute("ALTER TABLE content_index MODIFY owner VARCHAR(20) NULL")
    put(service, name, {}, 6)
    assert service.run("csv", name)["ledger"]["inserted"] == 6
