"""/openapi.json and /docs: whole, true to themselves, and without another host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from techaura.sync.v1 import resources_pb2

from tests.clients.scripted_service import Script, snapshot
from tests.support.openapi import DOCUMENT, component

OPERATIONS = [
    pytest.param(operation, id=f"{verb} {path}")
    for path, verbs in DOCUMENT["paths"].items()
    for verb, operation in verbs.items()
]


def problems(value: Any, schema: dict[str, Any]) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    validator = jsonschema_rs.Draft202012Validator(schema | {"components": DOCUMENT["components"]})
    return [error.message for error in validator.iter_errors(value)]


def fields(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each property of an object in a schema, however deep."""
    if isinstance(schema, dict):
        yield from schema["properties"].items() if "properties" in schema and "type" in schema else ()
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from fields(part)


async def test_the_page_and_its_files_are_served_for_this_host_only(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(policy)
    assert "unsafe" not in page.headers["content-security-policy"]
    asked = re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page.text)
    answers = {name: await http.get(f"/{name}") for name in asked}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "docs/swagger-ui.css": 200,
        "openapi.json": 200,
        "docs/swagger-ui-bundle.js": 200,
        "docs/page.js": 200,
    }
    assert answers["docs/page.js"].headers["content-type"].startswith("text/javascript")
    assert answers["docs/swagger-ui-bundle.js"].headers["x-content-type-options"] == "nosniff"
    assert 'url: "openapi.json"' in answers["docs/page.js"].text


@pytest.mark.parametrize("path", ["/docs/", "/docs/LICENSE", "/docs/..%2fconfig.py", "/docs/index.html"])
async def test_no_other_file_is_served(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)

    assert (answer.status_code, answer.json()["success"]) == (404, False)


def test_operations_are_named_once() -> None:
    names = [operation.values[0]["operationId"] for operation in OPERATIONS]  # type: ignore[index]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_described_and_its_examples_fit(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for example in content.get("examples", {}).values():
            assert problems(example["value"], content["schema"]) == []
    success = operation["responses"]["200"].get("content", {}).get("application/json", {})
    if "example" in success:
        assert problems(success["example"], success["schema"]) == []


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_every_schema_and_every_field_of_it_has_a_meaning(name: str) -> None:
    schema = component(name)

    assert schema.get("description"), name
    assert [key for key, field in fields(schema) if not field.get("description") and field != {"type": "null"}] == []


def test_the_example_of_a_failure_fits() -> None:
    for response in DOCUMENT["components"]["responses"].values():
        content = response["content"]["application/json"]
        assert problems(content["example"], content["schema"]) == []


async def test_an_event_carries_what_the_document_says(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[41] = [snapshot(7, resources_pb2.SYNC_STATUS_COMPLETED)]

    answer = await http.get("/v1/sync/41/events")

    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert len(data) == 1
    assert problems(httpx.Response(200, text=data[0]).json(), component("RunStatus")) == []
