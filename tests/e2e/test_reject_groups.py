"""Why rows of a run were not loaded, counted by reason and column: over REST, gRPC and the command line, exact whatever happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from techaura_sync import SyncClient

from tests.support.items_api import items_api
from tests.support.programs import run as run_program
from tests.support.seen import select
from tests.support.service import Service, environment, service_running, start_service
from tests.support.workbooks import write_xlsx, xlsx_row

ITEMS = {"targetTable": "catalog_items"}
# What is wrong with the songs of `songs`, whatever form they come in.
SONGS_WRONG = {
    ("required_missing", "title", False): 2,
    ("too_long", "title", False): 1,
    ("duplicate_key", None, True): 1,
}


def groups(run: dict[str, Any]) -> dict[tuple[str, str | None, bool], int]:
    """The groups of a run, which sum to its ledger, those of most rows first."""
    found = run["rejectGroups"]
    ledger = run["ledger"]
    for skipped, count in ((False, ledger["rejected"]), (True, ledger["skipped"])):
        assert sum(group["count"] for group in found if group["skipped"] is skipped) == count
    counts = [group["count"] for group in found]
    assert counts == sorted(counts, reverse=True)
    return {(group["reason"], group["column"], group["skipped"]): group["count"] for group in found}


def songs() -> list[dict[str, Any]]:
    """Forty records of which four are not loaded."""
    records: list[dict[str, Any]] = [{"external_id": f"s{n}", "title": f"Song {n}"} for n in range(40)]
    records[3]["title"] = records[30]["title"] = ""
    records[9]["title"] = "x" * 501
    records[12]["external_id"] = "s20"
    return records


def test_groups_are_the_same_over_rest_grpc_and_the_command(service: Service) -> None:
    wide = "precio de venta al público en pesos colombianos 価格"
    header = f"category_id,capacity,capacity_gb,{wide},content_count,content_unit\n"
    good = "".join(f"groups,{n}GB,{n},69900,10,canciones\n" for n in range(1, 101))
    bad = "groups,200GB,200,caro,10,u\ngroups,201GB,x,69900,10,u\ngroups,202GB,202,barato,10,u\ngroups,203GB,203,1,10\n"
    (service.data_root / "groups.csv").write_text(header + good + bad + "groups,1GB,1,50000,10,canciones\n")
    run = service.run("csv", "groups.csv", ITEMS | {"columnMapping": {"price": wide}})
    assert groups(run) == {
        ("bad_cast", wide, False): 2,
        ("bad_cast", "capacity_gb", False): 1,
        ("missing_columns", "content_unit", False): 1,
        ("duplicate_key", None, True): 1,
    }
    assert [group["firstLine"] for group in run["rejectGroups"]] == [102, 2, 103, 105]
    with SyncClient(service.grpc_target) as client:
        told = client.status(run["syncRunId"]).run.reject_groups
    keys = ("reason", "column", "count", "firstLine", "skipped")
    assert [(group.reason, group.column or None, group.count, group.first_line, group.skipped) for group in told] == [
        tuple(group[key] for key in keys) for group in run["rejectGroups"]
    ]
    said = run_program("techaura-sync", "--target", service.grpc_target, "status", str(run["syncRunId"])).stdout
    table = said[said.index("       rows  reason") :].splitlines()[:5]
    assert [line.split()[:2] for line in table[1:]] == [
        ["2", "bad_cast"], ["1", "duplicate_key"], ["1", "bad_cast"], ["1", "missing_columns"],
    ]  # fmt: skip
    assert {cell_len(line) for line in table} == {78}
    # What was left out is told again where nothing has to be read again; rejected rows are always read again.
    assert groups(service.run("csv", "groups.csv", ITEMS | {"columnMapping": {"price": wide}})) == groups(run)


@pytest.mark.parametrize("form", ["csv", "ndjson", "xlsx", "api"])
def test_each_form_of_a_source_has_the_same_groups(service: Service, form: str) -> None:
    records = songs()
    path = service.data_root / f"forms.{form}"
    if form == "api":
        items = {n: {"id": record["external_id"], "name": record["title"]} for n, record in enumerate(records)}
        with items_api(count=len(records), is_open=True, changed=items) as api:
            mapping = {"fieldMapping": {"external_id": "id", "title": "name"}}
            run = service.run("api", api.url, mapping | {"pagination": {"enabled": True, "type": "page"}})
    else:
        lines = [list(records[0]), *(list(record.values()) for record in records)]
        if form == "xlsx":
            write_xlsx(path, {"Songs": "".join(xlsx_row(n, line) for n, line in enumerate(lines, 1))})
        elif form == "ndjson":
            path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        else:
            path.write_text("".join(f"{','.join(line)}\n" for line in lines))
        run = service.run("csv", path.name)
    assert groups(run) == SONGS_WRONG
    assert run["rejectGroups"][0]["firstLine"] == (4 if form in ("ndjson", "api") else 5)


def test_skipped_rows_are_told_of_a_source_that_is_the_same_as_before(service: Service) -> None:
    (service.data_root / "twice.csv").write_text("external_id,title\n" + "a,1\n" * 2 + "b,2\n" * 3 + "c,3\n" * 9)
    first = service.run("csv", "twice.csv")
    again = service.run("csv", "twice.csv")
    assert again["sameAsSyncRunId"] == first["syncRunId"]
    assert groups(again) == groups(first) == {("duplicate_key", None, True): 11}


def test_more_kinds_than_are_told_apart_are_one_and_still_sum_to_the_ledger(service: Service) -> None:
    names = [f"c{n:02d}" for n in range(60)]
    header = ",".join(["title", "artist", *names])
    # Each of sixty records ends before another column.
    short = "".join(",".join(["t", "a", *"v" * n]) + "\n" for n in range(60))
    good = "".join(",".join([f"t{n}", "a", *"v" * 60]) + "\n" for n in range(600))
    twice = "".join(f"{line}\n" for line in [",".join(["same", "a", *"v" * 60])] * 2)
    (service.data_root / "kinds.csv").write_text(f"{header}\n{short}{good}{twice}")
    run = service.run("csv", "kinds.csv", {"columnMapping": {"external_id": "title"}})
    assert run["status"] == "completed"
    found = groups(run)
    assert (len(found), found["other", None, False], found["duplicate_key", None, True]) == (33, 29, 1)


@pytest.mark.parametrize("stop", ["SIGTERM", "SIGKILL"])
def test_groups_stay_exact_over_a_stop_and_beyond_the_errors_that_are_stored(
    database_url: str, tmp_path: Path, stop: str
) -> None:
    count = 12_000
    rows = "".join(f"{n}\n" if n % 3 == 0 else f"{n},,x\n" if n % 3 == 1 else f"{n},t{n},x\n" for n in range(count))
    (tmp_path / "big.csv").write_text(f"external_id,title,artist\n{rows}")
    environ = environment(
        database_url,
        tmp_path,
        CSV_BLOCK_BYTES=4096,
        REJECTS_STORED_MAX=25,
        ERROR_RATIO_MAX=1,
        BATCH_RETRY_ATTEMPTS_MAX=3,
    )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = start_service(tmp_path / "a", environ)
    run_id = first.trigger("csv", "big.csv")
    with SyncClient(first.grpc_target) as client:
        for update in client.watch(run_id):
            run = update.run
            # Counts and groups are those of the same batch in every snapshot.
            assert sum(group.count for group in run.reject_groups) == run.ledger.rejected
            if run.ledger.rejected > 1000:
                break
    if stop == "SIGTERM":
        assert first.stop() == 0
    else:
        first.kill()
    with service_running(tmp_path / "b", environ) as second:
        done = second.finished(run_id)
        assert (done["status"], done["ledger"]["rowsRead"]) == ("completed", count)
        assert groups(done) == {
            ("missing_columns", "title", False): count // 3,
            ("required_missing", "title", False): count // 3,
        }
        assert [group["firstLine"] for group in done["rejectGroups"]] == [2, 3]
        listed = second.get(f"/v1/sync/{run_id}/errors?pageSize=1000")[1]["data"]
        assert select(second, "SELECT COUNT(DISTINCT lease_epoch) FROM sync_batches") == [(2,)]
    assert len(listed) == 25
