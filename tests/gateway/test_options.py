"""`options` of a trigger: what callers write, and what the service is handed."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from techaura.sync.v1 import api_source_pb2, csv_source_pb2, sync_spec_pb2
from techaura_sync.spec import options_json

from gateway.errors import RequestFaultError
from gateway.options import read_spec
from tests.support.openapi import component

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)
CSV_NAMES = tuple(component("CsvOptions")["properties"])
API_NAMES = tuple(component("ApiOptions")["properties"])


def test_every_csv_option_of_the_contract_is_handed_on() -> None:
    options = {
        "targetTable": "catalog_items",
        "contentType": "movie",
        "delimiter": ";",
        "hasHeader": False,
        "encoding": "cp1252",
        "columnMapping": {"title": "Título", "artist": "Artista"},
    }

    assert read_spec("csv", "a.csv", options) == sync_spec_pb2.SyncSpec(
        source_identifier="a.csv",
        csv=csv_source_pb2.CsvOptions(
            delimiter=";", has_header=False, encoding="cp1252", column_mapping={"title": "Título", "artist": "Artista"}
        ),
        target_table="catalog_items",
        write=sync_spec_pb2.WriteOptions(content_type=sync_spec_pb2.CONTENT_TYPE_MOVIE),
    )


def test_every_api_option_of_the_contract_is_handed_on() -> None:
    options = {
        "method": "POST",
        "headers": {"Accept": "application/json", "X-Tenant": {"env": "SOURCE_TENANT"}},
        "auth": {"type": "bearer", "token": "t0k3n"},
        "dataPath": "result.items",
        "contentType": "video",
        "fieldMapping": {"title": "attributes.name"},
        "pagination": {
            "enabled": True,
            "type": "cursor",
            "limitParam": "n",
            "offsetParam": "skip",
            "pageParam": "p",
            "cursorParam": "after",
            "maxPages": 7,
        },
    }

    spec = read_spec("api", "http://a", options)

    assert spec.write == sync_spec_pb2.WriteOptions(content_type=sync_spec_pb2.CONTENT_TYPE_VIDEO)
    assert spec.api == api_source_pb2.ApiOptions(
        method=api_source_pb2.HTTP_METHOD_POST,
        headers={
            "Accept": api_source_pb2.SecretText(value="application/json"),
            "X-Tenant": api_source_pb2.SecretText(env="SOURCE_TENANT"),
        },
        auth=api_source_pb2.ApiAuth(bearer=api_source_pb2.BearerAuth(token=api_source_pb2.SecretText(value="t0k3n"))),
        data_path="result.items",
        field_mapping={"title": "attributes.name"},
        pagination=api_source_pb2.ApiPagination(
            enabled=True,
            type=api_source_pb2.PAGINATION_TYPE_CURSOR,
            limit_param="n",
            offset_param="skip",
            page_param="p",
            cursor_param="after",
            max_pages=7,
        ),
    )


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        (
            {"type": "basic", "username": "ana", "password": {"env": "SOURCE_PASSWORD"}},
            api_source_pb2.ApiAuth(
                basic=api_source_pb2.BasicAuth(
                    username="ana", password=api_source_pb2.SecretText(env="SOURCE_PASSWORD")
                )
            ),
        ),
        (
            {"type": "apikey", "apiKeyHeader": "X-Key", "apiKeyValue": "k"},
            api_source_pb2.ApiAuth(
                api_key=api_source_pb2.ApiKeyAuth(header="X-Key", value=api_source_pb2.SecretText(value="k"))
            ),
        ),
    ],
)
def test_each_kind_of_auth_has_its_message(auth: dict[str, Any], message: api_source_pb2.ApiAuth) -> None:
    assert read_spec("api", "http://a", {"auth": auth}).api.auth == message


def test_an_option_that_is_null_or_missing_is_left_to_the_service() -> None:
    options = {"delimiter": None, "columnMapping": None, "hasHeader": None}

    defaults = sync_spec_pb2.SyncSpec(source_identifier="a.csv", csv=csv_source_pb2.CsvOptions())
    assert read_spec("csv", "a.csv", options) == defaults
    assert read_spec("csv", "a.csv", None) == defaults


def test_a_false_flag_is_not_the_same_as_none() -> None:
    assert read_spec("csv", "a.csv", {"hasHeader": False}).csv.HasField("has_header")


def test_the_options_of_an_unknown_source_type_are_left_to_the_service_to_refuse() -> None:
    spec = read_spec("xml", "a.xml", {"anything": [1, 2], "mode": "mirror"})

    assert (spec.custom.type, options_json(spec)) == ("xml", {"anything": [1, 2], "mode": "mirror"})


@pytest.mark.parametrize(
    ("source_type", "options", "field"),
    [
        ("csv", [], "options"),
        ("csv", "delimiter=;", "options"),
        ("csv", {"delimeter": ";"}, "options"),
        ("csv", {"method": "GET"}, "options"),
        ("csv", {"delimiter": 1}, "options.delimiter"),
        ("csv", {"hasHeader": "true"}, "options.hasHeader"),
        ("csv", {"hasHeader": 1}, "options.hasHeader"),
        ("csv", {"columnMapping": ["title"]}, "options.columnMapping"),
        ("csv", {"columnMapping": {"title": 1}}, "options.columnMapping.title"),
        ("csv", {"columnMapping": {"title": None}}, "options.columnMapping.title"),
        ("api", {"method": "PUT"}, "options.method"),
        ("api", {"method": ["GET"]}, "options.method"),
        ("api", {"headers": {"A": 1}}, "options.headers.A"),
        ("api", {"headers": {"A": {"env": "SOURCE_A", "value": "x"}}}, "options.headers.A"),
        ("api", {"headers": {"A": {"env": 1}}}, "options.headers.A"),
        ("api", {"auth": "bearer"}, "options.auth"),
        ("api", {"auth": {}}, "options.auth.type"),
        ("api", {"auth": {"type": "digest"}}, "options.auth.type"),
        ("api", {"auth": {"type": ["bearer"]}}, "options.auth.type"),
        ("api", {"auth": {"type": "bearer"}}, "options.auth.token"),
        ("api", {"auth": {"type": "bearer", "token": 5}}, "options.auth.token"),
        ("api", {"auth": {"type": "bearer", "token": "t", "username": "ana"}}, "options.auth"),
        ("api", {"auth": {"type": "basic", "username": "ana"}}, "options.auth.password"),
        ("api", {"auth": {"type": "basic", "username": {"env": "SOURCE_A"}, "password": "p"}}, "options.auth.username"),
        ("api", {"auth": {"type": "apikey", "apiKeyValue": "k"}}, "options.auth.apiKeyHeader"),
        ("api", {"pagination": True}, "options.pagination"),
        ("api", {"pagination": {"enabled": "yes"}}, "options.pagination.enabled"),
        ("api", {"pagination": {"type": "scroll"}}, "options.pagination.type"),
        ("api", {"pagination": {"maxPages": 1.5}}, "options.pagination.maxPages"),
        ("csv", {"headerLines": 1e300}, "options.headerLines"),
        ("csv", {"headerLines": True}, "options.headerLines"),
        ("api", {"pagination": {"maxPages": True}}, "options.pagination.maxPages"),
        ("api", {"pagination": {"maxPages": 2**31}}, "options.pagination.maxPages"),
        ("api", {"pagination": {"perPage": 10}}, "options.pagination"),
    ],
)
def test_a_malformed_option_is_refused_by_its_name(source_type: str, options: object, field: str) -> None:
    with pytest.raises(RequestFaultError, match=r"^options") as caught:
        read_spec(source_type, "x", options)

    assert (caught.value.status, caught.value.field) == (HTTPStatus.BAD_REQUEST, field)
    assert caught.value.text.startswith(field)


def test_a_refusal_does_not_repeat_a_secret() -> None:
    options = {"auth": {"type": "basic", "username": "ana", "password": ["hunter2"]}}

    with pytest.raises(RequestFaultError) as caught:
        read_spec("api", "x", options)

    assert "hunter2" not in caught.value.text


@given(
    st.sampled_from(["csv", "api"]),
    st.dictionaries(st.sampled_from((*CSV_NAMES, *API_NAMES)) | st.text(st.characters(codec="utf-8")), JSON)
    | st.fixed_dictionaries({"auth": st.dictionaries(st.sampled_from(["type", "token", "username"]), JSON)})
    | st.fixed_dictionaries({"pagination": st.dictionaries(st.sampled_from(["type", "enabled", "maxPages"]), JSON)}),
)
def test_any_json_gives_options_or_a_refusal(source_type: str, options: dict[str, Any]) -> None:
    refused: RequestFaultError | None = None
    message = None
    try:
        message = read_spec(source_type, "x", json.loads(json.dumps(options)))
    except RequestFaultError as fault:
        refused = fault

    assert (refused is None) != (message is None)
    if refused is not None:
        assert refused.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("written", [2, 2.0])
def test_a_whole_number_may_be_written_as_json_allows(written: float) -> None:
    assert read_spec("csv", "x", {"headerLines": written}).csv == csv_source_pb2.CsvOptions(header_lines=2)
