"""Several files in one run, files that are still being written, and what a run tells of how it reads them."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from techaura_sync import SyncClient

from tests.e2e.test_csv_to_table import rows
from tests.support import programs
from tests.support.service import Service, environment, service_running, start_service

COUNT = 300


def write(path: Path, first: int, *, suffix: str = "", head: str = "external_id,title", count: int = COUNT) -> None:
    """A file of rows numbered from `first` on."""
    lines = [head, *(f"f{number},Canción {number}{suffix}" for number in range(first, first + count))]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(service: Service, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own with three files in the data root."""
    made = service.data_root / str(request.node.originalname)[:60]
    made.mkdir()
    for index, name in enumerate(("a.csv", "b.csv", "c.csv")):
        write(made / name, index * COUNT)
    return made


def titles(service: Service, identifier: str) -> dict[str, str]:
    """The table's rows of a source."""
    query = "SELECT external_id, title FROM content_index WHERE source_identifier = :name"
    return dict(rows(service, query, name=identifier))


def counts(run: dict[str, Any]) -> tuple[int, int, int]:
    """Inserted, updated, unchanged."""
    return run["ledger"]["inserted"], run["ledger"]["updated"], run["ledger"]["unchanged"]


def test_a_folder_is_one_source_and_only_what_changed_is_written(service: Service, folder: Path) -> None:
    identifier = folder.name
    assert counts(service.run("csv", identifier)) == (3 * COUNT, 0, 0)
    write(folder / "b.csv", COUNT, suffix=" (remix)")
    assert counts(service.run("csv", identifier)) == (0, COUNT, 2 * COUNT)
    write(folder / "d.csv", 3 * COUNT)
    assert counts(service.run("csv", identifier)) == (COUNT, 0, 3 * COUNT)
    found = titles(service, identifier)
    assert len(found) == 4 * COUNT
    assert (found["f0"], found[f"f{COUNT}"]) == ("Canción 0", f"Canción {COUNT} (remix)")


def test_a_pattern_means_the_files_that_match(service: Service, folder: Path) -> None:
    identifier = f"{folder.name}/[ac].csv"
    assert counts(service.run("csv", identifier)) == (2 * COUNT, 0, 0)
    assert set(titles(service, identifier)) == {f"f{n}" for n in [*range(COUNT), *range(2 * COUNT, 3 * COUNT)]}


def test_each_file_has_a_fingerprint_of_its_own(service: Service, folder: Path) -> None:
    def fingerprints() -> dict[str, str]:
        run = service.run("csv", folder.name)
        ((stored,),) = rows(service, "SELECT detected FROM sync_runs WHERE id = :id", id=run["syncRunId"])
        return {file["name"]: file["fingerprint"] for file in json.loads(stored)["files"]}

    before = fingerprints()
    write(folder / "b.csv", COUNT, suffix="!")
    after = fingerprints()
    assert {name for name in before if before[name] != after[name]} == {"b.csv"}


def test_an_error_names_its_file_and_counts_its_own_lines(service: Service, folder: Path) -> None:
    with (folder / "b.csv").open("a") as stream:
        stream.write("f9999,one,too many\n")
    run = service.run("csv", folder.name)
    (error,) = service.get(f"/v1/sync/{run['syncRunId']}/errors")[1]["data"]
    assert (error["code"], error["line"]) == ("too_many_columns", COUNT + 2)
    assert error["message"].startswith("b.csv: ")
    assert error["byteOffset"] == (folder / "b.csv").read_bytes().index(b"f9999")


def test_files_that_are_no_csv_yet_are_left_alone(service: Service, folder: Path) -> None:
    for name in ("e.csv.part", "f.csv.tmp", ".g.csv", "h.part"):
        write(folder / name, 50_000)
    assert counts(service.run("csv", folder.name)) == (3 * COUNT, 0, 0)
    status, answer = service.post(
        "/v1/sync/trigger", {"sourceType": "csv", "sourceIdentifier": f"{folder.name}/e.csv.part"}
    )
    assert (status, ".csv" in answer["error"]) == (400, True)


def test_a_file_that_is_still_being_written_is_left_out_and_said_so(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for index, name in enumerate(("a.csv", "b.csv", "c.csv")):
        write(folder / name, index * COUNT)
    growing = folder / "b.csv"
    stop = threading.Event()

    def grow() -> None:
        number = 70_000
        while not stop.is_set():
            with growing.open("a") as stream:
                stream.write(f"f{number},Canción\n")
            number += 1
            os.utime(growing)

    writer = threading.Thread(target=grow)
    with service_running(tmp_path, environment(database_url, tmp_path, CSV_SETTLE_SECONDS=0.2)) as service:
        writer.start()
        try:
            run = service.run("csv", "folder")
            status, answer = service.post("/v1/sync/trigger", {"sourceType": "csv", "sourceIdentifier": "folder/b.csv"})
        finally:
            stop.set()
            writer.join()
    assert counts(run) == (2 * COUNT, 0, 0)
    assert any("b.csv is still being written" in notice for notice in run["notices"])
    assert (status, answer["success"]) == (503, False), answer
    assert "b.csv" in answer["error"]


def test_what_was_found_out_is_shown_by_rest_grpc_and_the_command(service: Service) -> None:
    content = "Lista de canciones\nexternal_id;title;artist\n" + "".join(
        f"w{n};¿Qué será, niño {n}?;Peñaloza {n}\n" for n in range(100)
    )
    (service.data_root / "found.csv.gz").write_bytes(gzip.compress(content.replace("\n", "\r\n").encode("cp1252")))
    options = {"encoding": "auto", "delimiter": "auto", "preambleLines": 1}
    run = service.run("csv", "found.csv.gz", options)
    assert run["status"] == "completed", run
    (found,) = run["detected"]
    assert 0 < found.pop("encodingConfidence") <= 1
    assert 0 < found.pop("delimiterConfidence") <= 1
    assert found == {
        "fileName": "found.csv.gz", "format": "csv", "sheet": None, "fileCount": 1, "encoding": "cp1252", "encodingHow": "detected", "delimiter": ";",
        "delimiterHow": "detected", "quote": '"', "lineBreak": "crlf", "preambleLines": 1, "headerLine": 2,
        "columnCount": 3, "compression": "gzip",
    }  # fmt: skip
    with SyncClient(service.grpc_target) as client:
        (message,) = client.status(run["syncRunId"]).run.detected
    assert (message.encoding, message.delimiter, message.compression) == ("cp1252", ";", "gzip")
    shown = programs.run("techaura-sync", "--target", service.grpc_target, "status", str(run["syncRunId"]))
    assert "found.csv.gz: cp1252 (detected, " in shown.stdout, shown
    assert "header on line 2, 3 columns, crlf, gzip" in shown.stdout


def test_files_that_are_read_alike_are_told_once(service: Service, folder: Path) -> None:
    (folder / "c.csv").write_bytes((folder / "c.csv").read_text().encode("utf-16"))
    run = service.run("csv", folder.name)
    assert [
        (kind["fileName"], kind["fileCount"], kind["encoding"], kind["encodingHow"]) for kind in run["detected"]
    ] == [
        ("a.csv", 2, "utf-8", "declared"),
        ("c.csv", 1, "utf-16-le", "mark"),
    ]
    assert counts(run) == (3 * COUNT, 0, 0)


@pytest.mark.parametrize("changed", [False, True], ids=["as it was", "with the second file changed"])
def test_a_folder_whose_run_was_killed_is_finished_exactly(database_url: str, tmp_path: Path, changed: bool) -> None:
    """Unchanged, the run goes on after its last batch; changed, it reads from the start again and says so."""
    many = 5_000
    for index, name in enumerate(("a.csv", "b.csv", "c.csv")):
        write(tmp_path / name, index * many, count=many)
    environ = environment(database_url, tmp_path, CSV_BLOCK_BYTES=16 * 1024)
    engine = create_engine(database_url.replace("+aiosqlite", "").replace("+aiomysql", "+pymysql"))

    def ask(sql: str) -> list[Any]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    service = start_service(tmp_path, environ)
    run_id = service.trigger("csv", "[abc].csv")
    while ask("SELECT COUNT(*) FROM sync_batches")[0][0] < 2:
        assert service.process.poll() is None
    service.kill()
    (before,) = ask("SELECT COUNT(*), MAX(batch_no) FROM sync_batches")
    assert ask("SELECT COUNT(*) FROM content_index")[0][0] < 3 * many
    if changed:
        write(tmp_path / "b.csv", many, suffix="!", count=many)
    with service_running(tmp_path, environ) as service:
        run = service.finished(run_id)
    assert (run["status"], run["itemsProcessed"], run["ledger"]["rowsRead"]) == ("completed", 3 * many, 3 * many)
    assert any("the source changed" in notice for notice in run["notices"]) is changed
    (after,) = ask(
        f"SELECT COUNT(*), MAX(batch_no) FROM sync_batches WHERE restart_no = {int(changed)} AND sync_run_id = {run_id}"
    )
    assert after[0] == after[1] > before[1]
    mark = "!" if changed else ""
    assert dict(ask("SELECT external_id, title FROM content_index")) == {
        f"f{n}": f"Canción {n}{mark if many <= n < 2 * many else ''}" for n in range(3 * many)
    }
    engine.dispose()
