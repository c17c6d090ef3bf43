"""Metrics of the real program: what happens is counted, on each kind of database, and the same names are in the definitions."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, text
from techaura_sync import SyncClient, SyncServiceError

from server.metrics.definitions import DEFINITIONS
from tests.conftest import DATABASES, service_on
from tests.support.database_server import CHOSEN, server_running
from tests.support.programs import run
from tests.support.scripted_api import Said, scripted_api
from tests.support.service import PROGRAM, Service, environment, service_running

DEADLINE_SECONDS = 60
ON = {
    "METRICS_PORT": 0,
    "METRICS_DATABASE_INTERVAL_SECONDS": 0,
    "METRICS_DATABASE_TIMEOUT_SECONDS": 20,
    "METRICS_TIMEOUT_SECONDS": 30,
}
SONGS = "title,artist\nUno,A\nDos,B\nTres,C\n"
# Names that the library gives.
OF_THE_PROCESS = "process_"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(service: Service) -> Samples:
    """Every sample of one scrape, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """The value of one sample, 0 where there is none."""
    return samples.get((f"techaura_sync_{name}", frozenset(labels.items())), 0.0)


def eventually(look: Callable[[], bool]) -> None:
    """Look again until it is so."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A program with metrics, shared by the tests of this module."""
    with service_on(request, tmp_path_factory, **ON) as running:
        yield running


def test_a_run_is_counted_with_its_rows_rejects_and_bytes(service: Service) -> None:
    before = scraped(service)
    content = SONGS + "".join(f"Song {number},Artist\n" for number in range(40)) + "too,many,columns\n"
    (service.data_root / "counted.csv").write_text(content)
    assert service.run("csv", "counted.csv")["status"] == "completed"
    after = scraped(service)

    def added(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    target = {"target": "content_index"}
    assert added("rows_total", outcome="inserted", **target) == 43
    assert added("rows_total", outcome="rejected", **target) == 1
    assert added("rejects_total", kind="too_many_columns") == 1
    assert added("source_bytes_total", **target) == len(content)
    assert added("batch_duration_seconds_count", **target) >= 1
    assert added("runs_claimed_total") == 1
    assert added("takeovers_total") == 0
    eventually(
        lambda: (
            value(scraped(service), "runs_ended_total", source_type="csv", ending="completed")
            == value(before, "runs_ended_total", source_type="csv", ending="completed") + 1
        )
    )
    assert value(after, "runs", status="completed") == value(before, "runs", status="completed") + 1
    assert added("database_statement_seconds_count", verb="select") > 0
    assert added("database_connection_wait_seconds_count") > 0
    assert (value(after, "database_up"), value(after, "database_pool_connections_max")) == (1, 10)


def test_a_failed_run_is_counted_by_its_reason_and_logged_as_a_warning(service: Service) -> None:
    before = scraped(service)
    (service.data_root / "bad.csv").write_text(SONGS + ",Artist\n" * 20)
    run_id = service.trigger("csv", "bad.csv")
    assert service.finished(run_id)["status"] == "failed"
    reason = {"reason": "ERROR_BUDGET_EXCEEDED"}
    wanted = value(before, "run_failures_total", **reason) + 1
    eventually(lambda: value(scraped(service), "run_failures_total", **reason) == wanted)
    lines = [line for line in service.log_lines() if line.get("run_id") == run_id]
    assert {(line["attempt"], bool(line["owner"])) for line in lines} == {(1, True)}
    (ended,) = [line for line in lines if line["event"] == "run_ended"]
    assert (ended["level"], ended["reason"]) == ("warning", "ERROR_BUDGET_EXCEEDED")


def test_a_run_of_a_lost_owner_is_counted_as_taken_over(service: Service) -> None:
    before = scraped(service)
    (service.data_root / "left.csv").write_text(SONGS)
    _execute(
        service,
        "INSERT INTO sync_runs (source_type, source_identifier, status, sync_metadata, lease_owner, lease_epoch, "
        "lease_expires_at_ms) VALUES ('csv', 'left.csv', 'in_progress', '{}', 'gone:1:0', 4, 1)",
    )
    eventually(lambda: value(scraped(service), "takeovers_total") == value(before, "takeovers_total") + 1)
    eventually(lambda: value(scraped(service), "runs", status="in_progress") == 0)
    assert {line["attempt"] for line in service.log_lines() if line["event"] == "run_started"} >= {5}


def test_requests_to_a_source_are_counted_by_the_class_of_their_status(service: Service) -> None:
    answers = iter([Said({}, 503)])
    with scripted_api(lambda _asked: next(answers, Said({"data": [{"id": 1, "title": "one"}]}))) as api:
        before = scraped(service)
        assert service.run("api", f"{api.url}/songs")["status"] == "completed"
        after = scraped(service)
        assert not any(api.url in str(key) or "songs" in str(key) for key in after)
        for status in ("5xx", "2xx"):
            counts = [value(samples, "source_requests_total", status=status) for samples in (before, after)]
            assert counts[1] == counts[0] + 1
        assert value(after, "source_response_seconds_count") == value(before, "source_response_seconds_count") + 2


def _execute(service: Service, sql: str) -> None:
    """Change the database as another program would."""
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(sql))
    engine.dispose()


def test_calls_are_counted_by_method_and_status_and_unknown_ones_as_one(service: Service) -> None:
    before = scraped(service)
    with SyncClient(service.grpc_target) as client:
        client.stats()
        with pytest.raises(SyncServiceError) as refused:
            client.status(999_999)
        assert refused.value.reason == "RUN_NOT_FOUND"
    with grpc.insecure_channel(service.grpc_target) as channel:
        for name in ("/techaura.sync.v1.SyncService/Nothing", f"/made.up/{'x' * 100}"):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(name)(b"", timeout=30)  # type: ignore[arg-type] # a method without a type
    after = scraped(service)
    base = "techaura.sync.v1.SyncService/"

    def added(method: str, code: str) -> float:
        labels = {"method": method, "code": code}
        return value(after, "rpc_handled_total", **labels) - value(before, "rpc_handled_total", **labels)

    assert added(f"{base}GetSyncStats", "OK") == 1
    assert added(f"{base}GetSyncStatus", "NOT_FOUND") == 1
    assert added("unknown", "UNIMPLEMENTED") == 2
    assert not any("made.up" in str(labels) or "Nothing" in str(labels) for _name, labels in after)


def test_requests_of_the_gateway_are_counted_by_their_route(service: Service) -> None:
    before = scraped(service)
    assert service.get("/v1/sync/987654")[0] == 404
    assert service.get("/v1/nothing/here")[0] == 404
    after = scraped(service)
    for route in ("/v1/sync/{sync_run_id}", "unmatched"):
        labels = {"route": route, "method": "GET", "status": "404"}
        assert value(after, "http_requests_total", **labels) == value(before, "http_requests_total", **labels) + 1
    assert not any("987654" in str(labels) for _name, labels in after)


def test_a_schedule_shows_its_last_success_by_its_id_alone(service: Service) -> None:
    (service.data_root / "private-name.csv").write_text(SONGS)
    body = {
        "sourceType": "csv",
        "sourceIdentifier": "private-name.csv",
        "cron": "0 6 * * 1-5",
        "timeZone": "UTC",
    }
    status, answer = service.post("/v1/sync/schedules", body)
    assert status in (200, 201), answer
    # The schedules are looked for again after a minute; a new program does so at once.
    with service_running(service.log_path.parent, service.environ) as other:
        assert other.run("csv", "private-name.csv")["status"] == "completed"
        labels = {"schedule_id": str(answer["data"]["scheduleId"]), "source_type": "csv"}
        age = ("techaura_sync_schedule_last_success_age_seconds", frozenset(labels.items()))
        eventually(lambda: age in scraped(other))
        samples = scraped(other)
    assert value(samples, "schedule_last_success_age_seconds", **labels) < DEADLINE_SECONDS
    assert value(samples, "schedule_interval_seconds", **labels) == 3 * 24 * 3600
    assert not any("private-name" in str(key) for key in samples)


def test_every_sample_is_one_that_is_defined(service: Service) -> None:
    defined = {definition.name: definition for definition in DEFINITIONS}
    for name, labels in scraped(service):
        if name.startswith(OF_THE_PROCESS):
            continue
        base = name
        for suffix in ("_bucket", "_count", "_sum"):
            if name.endswith(suffix) and name.removesuffix(suffix) in defined:
                base = name.removesuffix(suffix)
        assert base in defined, name
        assert {label for label, _value in labels} - {"le"} == set(defined[base].labels), name


def test_a_gateway_of_its_own_serves_its_own_metrics_alone(service: Service, tmp_path: Path) -> None:
    environ = dict(service.environ) | {"TECHAURA_SYNC_GRPC_TARGET": service.grpc_target}
    with service_running(tmp_path, environ, command="gateway") as gateway:
        assert gateway.get("/v1/sync/stats")[0] == 200
        samples = scraped(gateway)
    assert value(samples, "http_requests_total", route="/v1/sync/stats", method="GET", status="200") == 1
    assert value(samples, "http_connections") == 0
    assert not any(name.startswith("techaura_sync_runs") for name, _labels in samples)


def test_without_the_setting_nothing_listens_and_nothing_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, server.app, server.cli, gateway.app, gateway.serving, server.execution.run_loop\n"
        "sys.exit(any(name.startswith(('prometheus_client', 'server.metrics')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 's.db'}", tmp_path)
    with service_running(tmp_path, environ) as service:
        assert service.metrics_port == 0


@pytest.mark.parametrize("command", ["serve", "server", "gateway"])
def test_other_machines_are_not_let_in_without_a_word(tmp_path: Path, command: str) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 's.db'}"
    environ = environment(url, tmp_path, METRICS_PORT=0, METRICS_HOST="0.0.0.0")
    done = run(PROGRAM, command, env=environ, cwd=tmp_path, timeout=DEADLINE_SECONDS)
    assert (done.returncode, done.stdout) == (2, "")
    assert "TECHAURA_SYNC_METRICS_HOST=0.0.0.0" in done.stderr
    assert not (tmp_path / "s.db").exists()


def test_a_busy_port_is_named(tmp_path: Path, service: Service) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 's.db'}"
    environ = environment(url, tmp_path, METRICS_PORT=service.metrics_port)
    done = run(PROGRAM, "serve", env=environ, cwd=tmp_path, timeout=DEADLINE_SECONDS)
    assert done.returncode == 2
    assert "TECHAURA_SYNC_METRICS_PORT" in done.stderr


@pytest.mark.parametrize("kind", [CHOSEN])
def test_a_scrape_answers_without_the_database_and_says_so(tmp_path: Path, kind: str) -> None:
    with server_running(kind=kind) as database:
        name = database.new_database()
        environ = environment(database.url(name), tmp_path, **ON, READINESS_INTERVAL_SECONDS=0.1)
        with service_running(tmp_path, environ) as service:
            assert value(scraped(service), "database_up") == 1
            database.kill()
            eventually(lambda: value(scraped(service), "database_up") == 0)
            samples = scraped(service)
            assert not any(name == "techaura_sync_runs" for name, _labels in samples)
            assert value(samples, "database_faults_total", reason="DATABASE_UNAVAILABLE") > 0
            eventually(lambda: value(scraped(service), "ready") == 0)
            database.start()
            eventually(lambda: value(scraped(service), "database_up") == 1)
            eventually(lambda: value(scraped(service), "ready") == 1)


def test_more_metrics_can_be_had_in_the_newer_form(service: Service) -> None:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{service.metrics_port}/metrics",
        headers={"Accept": "application/openmetrics-text;version=1.0.0"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.read().endswith(b"# EOF\n")


def test_a_flood_of_equal_lines_is_collapsed_and_told_at_the_end(tmp_path: Path) -> None:
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 's.db'}", tmp_path, LOG_EQUAL_LINES_MAX=2)
    with service_running(tmp_path, environ) as service:
        for number in range(5):
            (tmp_path / f"{number}.csv").write_text(f"title,artist\nSong {number},A\n")
            assert service.run("csv", f"{number}.csv")["status"] == "completed"
    lines = service.log_lines()
    assert [line["event"] for line in lines].count("run_started") == 2
    (left_out,) = [line for line in lines if line["event"] == "lines_left_out" and line["of_event"] == "run_started"]
    assert (left_out["lines"], left_out["action"], "run_id" in left_out) == (3, "run", False)
