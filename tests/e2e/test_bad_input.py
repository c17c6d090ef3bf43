"""Bad requests: each gets a clear answer that names what is wrong, and nothing is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from techaura.sync.v1 import sync_service_pb2, sync_service_pb2_grpc
from techaura_sync import sync_spec

from tests.support.service import Service

CSV = {"sourceType": "csv", "sourceIdentifier": "good.csv"}
API = {"sourceType": "api", "sourceIdentifier": "https://api.example.com/items"}


@pytest.fixture(autouse=True)
def files(service: Service, tmp_path: Path) -> None:
    (service.data_root / "good.csv").write_text("title,artist\na,b\n")
    (service.data_root / "no_title.csv").write_text("name,artist\na,b\n")
    (service.data_root / "notes.txt").write_text("title\na\n")
    (service.data_root / "empty folder").mkdir(exist_ok=True)
    outside = service.data_root.parent / "outside.csv"
    outside.write_text("title\nsecret\n")
    link = service.data_root / "link.csv"
    if not link.is_symlink():
        link.symlink_to(outside)


def options(base: dict[str, Any], **given: object) -> dict[str, Any]:
    return base | {"options": given}


CASES: dict[str, tuple[object, str]] = {
    "no body": (None, "sourceType and sourceIdentifier are required"),
    "empty object": ({}, "sourceType and sourceIdentifier are required"),
    "no identifier": ({"sourceType": "csv"}, "sourceType and sourceIdentifier are required"),
    "no json": (b"{nope", "Invalid JSON"),
    "unknown source type": ({"sourceType": "ftp", "sourceIdentifier": "x"}, "sourceType"),
    "missing file": ({"sourceType": "csv", "sourceIdentifier": "missing.csv"}, "missing.csv"),
    "empty folder": ({"sourceType": "csv", "sourceIdentifier": "empty folder"}, "folder"),
    "not a csv": ({"sourceType": "csv", "sourceIdentifier": "notes.txt"}, ".csv"),
    "outside the roots": ({"sourceType": "csv", "sourceIdentifier": "/etc/passwd.csv"}, "DATA_ROOTS"),
    "dots": ({"sourceType": "csv", "sourceIdentifier": "../outside.csv"}, "DATA_ROOTS"),
    "link to the outside": ({"sourceType": "csv", "sourceIdentifier": "link.csv"}, "DATA_ROOTS"),
    "required column": ({"sourceType": "csv", "sourceIdentifier": "no_title.csv"}, "title"),
    "unknown target column": (options(CSV, columnMapping={"colour": "title"}), "colour"),
    "unknown source column": (options(CSV, columnMapping={"title": "nombre"}), "nombre"),
    "unknown table": (options(CSV, targetTable="users"), "targetTable"),
    "unknown option": (options(CSV, delimeter=";"), "delimeter"),
    "long delimiter": (options(CSV, delimiter=";;;;;;;;;;;;;;;;;;;"), "delimiter"),
    "wrong type": (options(CSV, hasHeader="yes"), "hasHeader"),
    "unknown encoding": (options(CSV, encoding="klingon"), "encoding"),
    "options are no object": (CSV | {"options": [1]}, "options"),
    "unknown content type": (options(CSV, contentType="poem"), "contentType"),
    "no url": ({"sourceType": "api", "sourceIdentifier": "notaurl"}, "http"),
    "ftp url": ({"sourceType": "api", "sourceIdentifier": "ftp://x.example.com/"}, "http"),
    "secret in url": ({"sourceType": "api", "sourceIdentifier": "https://u:pw@x.example.com/"}, "auth"),
    "unknown auth": (options(API, auth={"type": "magic"}), "auth"),
    "auth without token": (options(API, auth={"type": "bearer"}), "token"),
    "service's own variable": (options(API, auth={"type": "bearer", "token": {"env": "HOME"}}), "SOURCE_"),
    "max pages": (options(API, pagination={"enabled": True, "maxPages": 0}), "maxPages"),
    "long identifier": ({"sourceType": "api", "sourceIdentifier": "https://x.example.com/" + "a" * 300}, "255"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_request_says_what_is_wrong_and_stores_nothing(service: Service, case: str) -> None:
    body, expected = CASES[case]
    before = service.get("/v1/sync/stats")[1]["data"]["total"]
    status, answer = service.post("/v1/sync/trigger", body)
    assert (status, answer["success"]) == (400, False), answer
    assert expected in answer["error"]
    assert service.get("/v1/sync/stats")[1]["data"]["total"] == before


def test_a_body_over_the_limit_is_refused(service: Service) -> None:
    status, answer = service.post("/v1/sync/trigger", b'{"sourceType": "' + b"x" * 2_000_000 + b'"}')
    assert (status, answer["success"]) == (413, False)


def test_the_same_faults_over_grpc_carry_a_reason_and_a_field(service: Service) -> None:
    with grpc.insecure_channel(service.grpc_target) as channel:
        stub = sync_service_pb2_grpc.SyncServiceStub(channel)
        request = sync_service_pb2.TriggerSyncRequest(spec=sync_spec("ftp", "x"))
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.TriggerSync(request, timeout=10))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        found: Any = caught.value.trailing_metadata()
        trailers = dict(found)
        assert b"UNKNOWN_SOURCE_TYPE" in trailers["grpc-status-details-bin"]
        assert b"spec.custom.type" in trailers["grpc-status-details-bin"]
