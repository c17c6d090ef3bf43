"""Every option that the gateway takes arrives at its source as it was written: JSON -> proto -> JSON."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.options import read_spec
from server.service.convert import options_document
from server.sources import number_format
from server.sources.api import options as api
from server.sources.api import pagination_options, watermark
from server.sources.csv import options as csv

WRITE: dict[str, Any] = {
    "mode": "mirror", "conflictPolicy": "report", "mirrorGoneRatioMax": 0.5, "mirrorAllowEmpty": True,
}  # fmt: skip
CSV: dict[str, Any] = {
    "targetTable": "catalog_items", "contentType": "video", "delimiter": ";", "hasHeader": False, "encoding": "cp1252",
    "columnMapping": {"title": "column_1"}, "headerLines": 2, "quote": "'", "escape": "\\", "strayQuotes": "keep", "missingFields": "empty",
    "preambleLines": 3, "commentPrefix": "#", "decimalComma": True, "nullTokens": ["NULL", "-"],
    "numberFormat": {"decimal": ",", "grouping": ".", "currency": ["$", "COP"]},
    "columnAliases": {"title": ["Título", "song"]}, "stripText": False, "format": "ndjson", "sheet": "2", **WRITE,
}  # fmt: skip
API: dict[str, Any] = {
    "targetTable": "content_index", "method": "POST", "headers": {"X-One": "1", "X-Two": {"env": "SOURCE_TWO"}}, "dataPath": "a.b", "contentType": "game",
    "auth": {"type": "apikey", "apiKeyParam": "key", "apiKeyValue": {"file": "token"}}, "fieldMapping": {"title": "t.u"},
    "format": "ndjson", "csvDelimiter": ";",
    "incremental": {
        "cursorField": "meta.changed", "param": "since", "format": "date", "lookbackSeconds": 60, "initial": "2024-01-01",
        "fullAfterDays": 7, "dateFormat": "%Y-%m-%d", "template": "updated gt {value}",
    },
    "body": {"filter": {"since": 3, "share": 0.5, "names": ["a", None, True]}}, **WRITE,
    "requestsPerSecond": 2.5, "conditional": False, "rowNamesPath": "values[0]", "preset": "google-sheets", "query": {"session": "45-1", "key": {"env": "SOURCE_KEY"}},
    "numberFormat": {"decimal": ".", "grouping": "'", "currency": ["CHF"]},
    "pagination": {
        "enabled": True, "type": "cursor", "limitParam": "l", "offsetParam": "o", "pageParam": "p", "cursorParam": "c",
        "maxPages": 7, "pageSize": 50, "paramsIn": "body", "cursorPath": "x.y", "cursorHeader": "X-Next",
        "nextUrlPath": "links.next", "firstPage": 0, "total": "estimate", "totalPath": "n.total", "pagesPath": "n.pages",
        "stopPath": "n.more", "stopValue": "false", "emptyPagesMax": 7, "pagesAtOnce": 2,
    },
}  # fmt: skip


@pytest.mark.parametrize(("source_type", "options"), [("csv", CSV), ("api", API)])
def test_options_arrive_as_they_were_written(source_type: str, options: dict[str, Any]) -> None:
    assert options_document(read_spec(source_type, "x", options)) == options


@pytest.mark.parametrize("auth", [
    {"type": "bearer", "token": "t"},
    {"type": "basic", "username": "u", "password": {"env": "SOURCE_P"}},
    {"type": "apikey", "apiKeyHeader": "X-Key", "apiKeyValue": "k"},
    {"type": "oauth2", "tokenUrl": "https://t.example/token", "clientId": "c", "grant": "refreshToken",
     "clientSecret": "s", "refreshToken": {"env": "SOURCE_R"}, "scope": "a b", "clientAuth": "body",
     "audience": "https://a.example", "params": {"resource": "r", "pin": {"env": "SOURCE_PIN"}}},
    {"type": "oauth2", "tokenUrl": "https://t.example/token", "clientId": "c", "grant": "password", "username": "u", "password": "p"},
], ids=lambda auth: auth["type"])  # fmt: skip
def test_each_kind_of_auth_arrives(auth: dict[str, Any]) -> None:
    assert options_document(read_spec("api", "x", {"auth": auth})) == {"auth": auth}


def test_no_option_of_a_source_is_out_of_reach() -> None:
    assert {field.alias for field in csv.CsvOptions.model_fields.values()} == set(CSV)
    assert {field.alias for field in api.ApiOptions.model_fields.values()} == set(API)
    assert {field.alias for field in watermark.Incremental.model_fields.values()} == set(API["incremental"])
    assert {field.alias for field in number_format.NumberFormat.model_fields.values()} == set(CSV["numberFormat"])
    assert {field.alias for field in pagination_options.Pagination.model_fields.values()} == set(API["pagination"])
