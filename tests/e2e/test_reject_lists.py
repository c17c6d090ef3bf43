"""Rejects by reason and column, and all of them as CSV: over REST, gRPC and the command line."""

from __future__ import annotations

import csv
import io
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from techaura.sync.v1 import sync_service_pb2
from techaura_sync import SyncClient, SyncServiceError

from tests.support.programs import run as run_program
from tests.support.service import Service, environment, service_running

SONGS = {"columnMapping": {"title": "Título", "artist": "Artista"}}
HEADER = "external_id,Título,Artista\n"
COLUMNS = ["line", "byte_offset", "reason", "column", "message", "raw"]


def songs() -> bytes:
    """Good records, and eleven that are not loaded: their reasons and columns are mixed, and the last is a duplicate's first."""
    good = "".join(f"s{n},Canción {n},A\n" for n in range(50))
    bad = [b's200,"=cmd|\' /C calc\'!A0, ""x""",A,more\n', b"s201,,A\n", b"s202,Canci\xf3n,A\n", b's203,"a\r\nb",A,x\n']
    bad += [b"s%d,,A\n" % n for n in range(210, 213)] + [b"s%d,t,%s\n" % (n, b"a" * 300) for n in range(220, 223)]
    return b"".join([HEADER.encode(), b"s49,first,A\n", good.encode(), *bad])


def file_of(service: Service, path: str) -> tuple[str, list[list[str]]]:
    """A CSV file over REST: its media type and its records."""
    with urllib.request.urlopen(f"{service.http_url}{path}", timeout=30) as answer:
        text = answer.read().decode()
        return answer.headers["Content-Type"], list(csv.reader(io.StringIO(text, newline=""), strict=True))


def command(service: Service, *arguments: str) -> Any:
    return run_program("techaura-sync", "--target", service.grpc_target, "errors", *arguments)


@pytest.fixture
def run(service: Service) -> dict[str, Any]:
    (service.data_root / "lists.csv").write_bytes(songs())
    found = service.run("csv", "lists.csv", SONGS)
    assert (found["status"], found["ledger"]["rejected"], found["ledger"]["skipped"]) == ("failed", 10, 1)
    return found


def test_each_group_lists_as_many_errors_as_it_counts(service: Service, run: dict[str, Any]) -> None:
    path = f"/v1/sync/{run['syncRunId']}/errors"
    assert len(run["rejectGroups"]) == 5
    for group in run["rejectGroups"]:
        query = f"reason={group['reason']}" + ("&column=T%C3%ADtulo" if group["column"] == "Título" else "")
        errors = service.get(f"{path}?{query}")[1]["data"]
        assert len(errors) == group["count"]
        assert {(error["code"], error["column"]) for error in errors} == {(group["reason"], group["column"])}
        assert min(error["line"] for error in errors) == group["firstLine"]
        said = command(service, str(run["syncRunId"]), "--reason", group["reason"], "--column", group["column"] or "")
        assert said.stdout.count(group["reason"]) == group["count"]
    assert [error["column"] for error in service.get(f"{path}?column=Artista")[1]["data"]] == ["Artista"] * 3
    for other in (
        "reason=BAD_ENCODING",
        "reason=bad_encodin_",
        "reason=%25",
        "column=t%C3%ADtulo",
        "column=Titulo",
        "column=Artista%20",
    ):
        assert service.get(f"{path}?{other}")[1]["data"] == []


def test_a_page_token_belongs_to_its_filter(service: Service, run: dict[str, Any]) -> None:
    path = f"/v1/sync/{run['syncRunId']}/errors"
    first = service.get(f"{path}?reason=required_missing&pageSize=3")[1]
    second = service.get(f"{path}?reason=required_missing&pageSize=3&pageToken={first['nextPageToken']}")[1]
    assert [error["line"] for error in first["data"] + second["data"]] == [60, 59, 58, 54]
    assert second["nextPageToken"] == ""
    plain = service.get(f"{path}?pageSize=3")[1]["nextPageToken"]
    assert plain.isdigit()
    for query in (f"pageToken={first['nextPageToken']}", f"reason=too_long&pageToken={first['nextPageToken']}",
                  f"reason=required_missing&column=Artista&pageToken={first['nextPageToken']}",
                  f"reason=required_missing&pageToken={plain}"):  # fmt: skip
        status, answer = service.get(f"{path}?{query}")
        assert (status, answer["field"], "another filter" in answer["error"]) == (400, "pageToken", True)


def test_all_rejects_are_one_csv_file_in_the_order_of_the_source(
    service: Service, run: dict[str, Any], tmp_path: Path
) -> None:
    run_id = run["syncRunId"]
    kind, (columns, *records) = file_of(service, f"/v1/sync/{run_id}/rejects.csv")
    assert (kind, columns) == ("text/csv; charset=utf-8; header=present", COLUMNS)
    # What ended the run is none of its rejects.
    listed = [error for error in service.get(f"/v1/sync/{run_id}/errors")[1]["data"] if error["line"] is not None]
    keys = ("line", "byteOffset", "code", "column", "message", "raw")
    expected = sorted(([error[key] for key in keys] for error in listed), key=lambda record: record[0])
    assert records == [["" if value is None else str(value) for value in record] for record in expected]
    assert [record[0] for record in records] == ["2", "53", "54", "55", "56", *map(str, range(58, 64))]
    content = songs()
    for line, offset, reason, _column, _message, raw in records:
        stands = content[int(offset) :].split(b"\n" if line != "56" else b"x\n")[0] + (b"x" if line == "56" else b"")
        # Bytes that are no text of the encoding are shown by their numbers; everything else is exact, formulas too.
        assert raw == ("s202,Canci\\xf3n,A" if reason == "bad_encoding" else stands.decode())
    with SyncClient(service.grpc_target) as client:
        messages = list(client.export_rejects(sync_service_pb2.ExportSyncRejectsRequest(sync_run_id=run_id)))
        assert [reject.raw for message in messages for reject in message.rejects] == [record[5] for record in records]
        with pytest.raises(SyncServiceError) as missing:
            list(client.export_rejects(sync_service_pb2.ExportSyncRejectsRequest(sync_run_id=99_999_999)))
    assert missing.value.reason == "RUN_NOT_FOUND"
    target = tmp_path / "rejects.csv"
    said = command(service, str(run_id), "--csv", str(target))
    assert (said.returncode, said.stdout) == (0, f"11 rejects written to {target}\n")
    with urllib.request.urlopen(f"{service.http_url}/v1/sync/{run_id}/rejects.csv", timeout=30) as answer:
        assert target.read_bytes() == answer.read()
    assert list(tmp_path.iterdir()) == [target]
    narrowed = command(service, str(run_id), "--reason", "too_long", "--column", "Artista", "--csv", "-").stdout
    assert [record[2] for record in csv.reader(io.StringIO(narrowed))] == ["reason", *["too_long"] * 3]


def test_a_download_of_no_run_or_to_no_place_is_refused_and_leaves_no_file(service: Service, tmp_path: Path) -> None:
    status, answer = service.get("/v1/sync/99999999/rejects.csv")
    assert (status, answer["reason"]) == (404, "RUN_NOT_FOUND")
    said = command(service, "99999999", "--csv", str(tmp_path / "a.csv"))
    assert said.returncode == 2
    assert "99999999" in said.stderr or "not found" in said.stderr.lower()
    assert list(tmp_path.iterdir()) == []
    (service.data_root / "good.csv").write_text("title\na\n")
    run_id = str(service.run("csv", "good.csv")["syncRunId"])
    said = command(service, run_id, "--csv", str(tmp_path / "missing" / "a.csv"))
    assert (said.returncode, "--csv" in said.stderr) == (2, True)
    assert file_of(service, f"/v1/sync/{run_id}/rejects.csv")[1] == [COLUMNS]


def test_a_file_says_how_many_rejects_are_counted_and_not_stored(database_url: str, tmp_path: Path) -> None:
    records = "".join(f"{n},,A\n" if n % 2 else f"{n},t,A,x\n" for n in range(2000))
    (tmp_path / "capped.csv").write_text(f"external_id,title,artist\n{records}")
    environ = environment(database_url, tmp_path, REJECTS_STORED_MAX=450, CSV_BLOCK_BYTES=2048)
    with service_running(tmp_path, environ) as service:
        run = service.run("csv", "capped.csv")
        path = f"/v1/sync/{run['syncRunId']}/rejects.csv"
        _kind, (_columns, *stored, last) = file_of(service, path)
        narrowed = file_of(service, f"{path}?reason=too_many_columns")[1]
        said = command(service, str(run["syncRunId"]), "--csv", str(tmp_path / "out.csv"))
    # The first ones, over several pages.
    assert [int(record[0]) for record in stored] == list(range(2, 452))
    assert (last[2], last[0], last[5]) == ("not_stored", "", "")
    assert last[4].startswith("1550 more rejects are counted and not stored")
    assert len(narrowed) == 1 + 225 + 1
    assert narrowed[-1][4].startswith("1550 more rejects of the run, for whatever reason,")
    assert "1550 more rejects" in said.stderr
