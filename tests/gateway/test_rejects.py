"""The rejects of a run as a CSV file: streamed, quoted, and never a part that looks like the whole."""

from __future__ import annotations

import csv
import io

import httpx
import pytest
from techaura.sync.v1 import resources_pb2, sync_service_pb2

from tests.clients.scripted_service import CONNECTION_LOST, Script

RAW = '=1+1,"a ""b""",\r\nend\t\x00 é🎵'


def reject(line: int, raw: str) -> resources_pb2.SyncError:
    return resources_pb2.SyncError(
        code="bad_cast", message="no, number", line=line, byte_offset=0, column="precio", raw=raw
    )


async def test_a_file_quotes_what_needs_it_and_alters_nothing(http: httpx.AsyncClient, script: Script) -> None:
    script.errors = [reject(2, RAW), reject(3, "plain")]
    script.not_stored = 7

    answer = await http.get("/v1/sync/41/rejects.csv", params={"reason": "bad_cast", "column": "precio"})

    assert answer.headers["Content-Disposition"] == 'attachment; filename="run-41-rejects.csv"'
    lines = answer.text.split("\r\n")
    assert lines[0] == "line,byte_offset,reason,column,message,raw"
    assert '3,0,bad_cast,precio,"no, number",plain' in lines
    records = list(csv.reader(io.StringIO(answer.text, newline=""), strict=True))
    assert records[1] == ["2", "0", "bad_cast", "precio", "no, number", RAW]
    assert records[3][2] == "not_stored"
    assert script.requests == [
        sync_service_pb2.ExportSyncRejectsRequest(sync_run_id=41, reason="bad_cast", column="precio")
    ]


async def test_a_download_that_breaks_off_is_no_whole_answer(http: httpx.AsyncClient, script: Script) -> None:
    script.errors = [reject(line, "x" * 1000) for line in range(2, 200)]
    script.export_break = CONNECTION_LOST

    with pytest.raises(httpx.RemoteProtocolError):
        await http.get("/v1/sync/41/rejects.csv")


async def test_only_the_head_is_sent_where_only_that_is_asked_for(http: httpx.AsyncClient, script: Script) -> None:
    script.errors = [reject(2, RAW)]
    answer = await http.head("/v1/sync/41/rejects.csv")
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (
        200,
        "text/csv; charset=utf-8; header=present",
        b"",
    )


async def test_filters_of_the_list_reach_the_service(http: httpx.AsyncClient, script: Script) -> None:
    assert (await http.get("/v1/sync/41/errors", params={"reason": "bad_cast", "column": "a&b"})).status_code == 200
    assert (await http.get("/v1/sync/41/rejects.csv?pageSize=5")).json()["field"] == "pageSize"
    assert script.requests == [sync_service_pb2.ListSyncErrorsRequest(sync_run_id=41, reason="bad_cast", column="a&b")]
