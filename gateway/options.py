"""`options` of a trigger request: JSON as callers write it -> the typed messages of the protos.

Only shape and type are judged here, each against one table per message; what a value may be is the service's to say.
A key that no table has is refused, since an option that is not understood must not be silently left out. JSON null
counts as not given.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from techaura.sync.v1 import sources_pb2
from techaura_sync import Options

from gateway.body import whole_number
from gateway.errors import RequestFault

M = TypeVar("M", bound=Message)
# Puts one JSON value into a message; the path is how an error names the option.
Setter = Callable[[M, Any, str], None]

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1


def read_options(source_type: str, options: Any) -> Options | None:
    """Turn the `options` of a request into the message of its source type.

    Args:
        source_type: as requested; for one that is not known here the service gets none and refuses the type itself.
        options: the parsed JSON, or None when there was none.

    Raises:
        RequestFault: 400 that names the option at fault.
    """
    if options is None:
        return None
    _require(isinstance(options, dict), "options", "must be an object")
    if source_type == "csv":
        return _fill(sources_pb2.CsvOptions(), options, "options", _CSV)
    if source_type == "api":
        return _fill(sources_pb2.ApiOptions(), options, "options", _API)
    return None


def _fill(message: M, values: dict[str, Any], path: str, setters: dict[str, Setter[M]]) -> M:
    for key, value in values.items():
        setter = setters.get(key)
        if setter is None:
            known = ", ".join(sorted(setters))
            raise _fault(path, f"{path} has no option {key[:100]!r}; it knows {known}")
        if value is not None:
            setter(message, value, f"{path}.{key}")
    return message


def _text(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        _require(isinstance(value, str), path, "must be a text")
        setattr(message, field, value)

    return put


def _flag(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        _require(isinstance(value, bool), path, "must be true or false")
        setattr(message, field, value)

    return put


def _whole_number(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        number = whole_number(value)
        if number is None:
            raise _fault(path, f"{path} must be a whole number")
        _require(_INT32_MIN <= number <= _INT32_MAX, path, "is out of range")
        setattr(message, field, number)

    return put


def _number(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        _require(isinstance(value, int | float) and not isinstance(value, bool), path, "must be a number")
        setattr(message, field, float(value))

    return put


def _one_of(field: str, values: dict[str, int]) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        _require(isinstance(value, str) and value in values, path, f"must be one of {', '.join(values)}")
        setattr(message, field, values[value])

    return put


def _text_map(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        _require(isinstance(value, dict), path, "must be an object of texts")
        for key, item in value.items():
            _require(isinstance(item, str), f"{path}.{key}", "must be a text")
        getattr(message, field).update(value)

    return put


def _texts(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        _require(
            isinstance(value, list) and all(isinstance(item, str) for item in value), path, "must be a list of texts"
        )
        getattr(message, field).extend(value)

    return put


def _aliases(message: sources_pb2.CsvOptions, value: Any, path: str) -> None:
    _require(isinstance(value, dict), path, "must be an object of lists of texts")
    for key, names in value.items():
        _texts("names")(message.column_aliases[key], names, f"{path}.{key}")


def _body(message: sources_pb2.ApiOptions, value: Any, path: str) -> None:
    _require(isinstance(value, dict), path, "must be an object")
    message.body.update(value)


def _secret_map(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        _require(isinstance(value, dict), path, "must be an object")
        for key, item in value.items():
            getattr(message, field)[key].CopyFrom(_secret_text(item, f"{path}.{key}"))

    return put


def _secret(field: str) -> Setter[Any]:
    def put(message: Message, value: Any, path: str) -> None:
        getattr(message, field).CopyFrom(_secret_text(value, path))

    return put


def _secret_text(value: Any, path: str) -> sources_pb2.SecretText:
    if isinstance(value, str):
        return sources_pb2.SecretText(value=value)
    refers = isinstance(value, dict) and len(value) == 1 and all(isinstance(name, str) for name in value.values())
    _require(
        refers and value.keys() <= {"env", "file"}, path, 'must be a text, {"env": "SOURCE_NAME"} or {"file": "name"}'
    )
    return sources_pb2.SecretText(**value)


def _auth(message: sources_pb2.ApiOptions, value: Any, path: str) -> None:
    _require(isinstance(value, dict), path, "must be an object")
    fields = {key: item for key, item in value.items() if key != "type"}
    kind = value.get("type")
    if kind == "bearer":
        message.auth.bearer.CopyFrom(_complete(sources_pb2.BearerAuth(), fields, path, _BEARER))
    elif kind == "basic":
        message.auth.basic.CopyFrom(_complete(sources_pb2.BasicAuth(), fields, path, _BASIC))
    elif kind == "oauth2":
        for name in ("tokenUrl", "clientId"):
            _require(fields.get(name) is not None, f"{path}.{name}", "is required")
        message.auth.oauth2.CopyFrom(_fill(sources_pb2.OAuth2Auth(), fields, path, _OAUTH2))
    else:
        _require(kind == "apikey", f"{path}.type", "must be one of bearer, basic, apikey, oauth2")
        places = [name for name in ("apiKeyHeader", "apiKeyParam") if fields.get(name) is not None]
        _require(len(places) == 1, f"{path}.apiKeyHeader", "or apiKeyParam is required, one of the two")
        _require(fields.get("apiKeyValue") is not None, f"{path}.apiKeyValue", "is required")
        message.auth.api_key.CopyFrom(_fill(sources_pb2.ApiKeyAuth(), fields, path, _API_KEY))


def _complete(message: M, values: dict[str, Any], path: str, setters: dict[str, Setter[M]]) -> M:
    for key in setters:
        _require(values.get(key) is not None, f"{path}.{key}", "is required")
    return _fill(message, values, path, setters)


def _pagination(message: sources_pb2.ApiOptions, value: Any, path: str) -> None:
    _require(isinstance(value, dict), path, "must be an object")
    message.pagination.CopyFrom(_fill(sources_pb2.ApiPagination(), value, path, _PAGINATION))


def _incremental(message: sources_pb2.ApiOptions, value: Any, path: str) -> None:
    _require(isinstance(value, dict), path, "must be an object")
    message.incremental.CopyFrom(_fill(sources_pb2.ApiIncremental(), value, path, _INCREMENTAL))


def _require(holds: bool, path: str, what: str) -> None:
    if not holds:
        raise _fault(path, f"{path} {what}")


def _fault(path: str, text: str) -> RequestFault:
    return RequestFault(HTTPStatus.BAD_REQUEST, text, reason="INVALID_OPTION", field=path)


_WRITE: Final[dict[str, Setter[Any]]] = {
    "mode": _text("mode"),
    "conflictPolicy": _text("conflict_policy"),
    "mirrorGoneRatioMax": _number("mirror_gone_ratio_max"),
    "mirrorAllowEmpty": _flag("mirror_allow_empty"),
}
_CSV: Final[dict[str, Setter[sources_pb2.CsvOptions]]] = {
    "targetTable": _text("target_table"),
    "contentType": _text("content_type"),
    "delimiter": _text("delimiter"),
    "hasHeader": _flag("has_header"),
    "encoding": _text("encoding"),
    "columnMapping": _text_map("column_mapping"),
    "headerLines": _whole_number("header_lines"),
    "quote": _text("quote"),
    "escape": _text("escape"),
    "strayQuotes": _text("stray_quotes"),
    "preambleLines": _whole_number("preamble_lines"),
    "commentPrefix": _text("comment_prefix"),
    "decimalComma": _flag("decimal_comma"),
    "nullTokens": _texts("null_tokens"),
    "columnAliases": _aliases,
    "stripText": _flag("strip_text"),
    **_WRITE,
}
_API: Final[dict[str, Setter[sources_pb2.ApiOptions]]] = {
    "method": _one_of("method", {"GET": sources_pb2.HTTP_METHOD_GET, "POST": sources_pb2.HTTP_METHOD_POST}),
    "headers": _secret_map("headers"),
    "auth": _auth,
    "dataPath": _text("data_path"),
    "contentType": _text("content_type"),
    "fieldMapping": _text_map("field_mapping"),
    "pagination": _pagination,
    "body": _body,
    **_WRITE,
    "format": _text("format"),
    "csvDelimiter": _text("csv_delimiter"),
    "incremental": _incremental,
    "requestsPerSecond": _number("requests_per_second"),
    "conditional": _flag("conditional"),
}
_BEARER: Final[dict[str, Setter[sources_pb2.BearerAuth]]] = {"token": _secret("token")}
_BASIC: Final[dict[str, Setter[sources_pb2.BasicAuth]]] = {
    "username": _text("username"),
    "password": _secret("password"),
}
_API_KEY: Final[dict[str, Setter[sources_pb2.ApiKeyAuth]]] = {
    "apiKeyHeader": _text("header"),
    "apiKeyParam": _text("param"),
    "apiKeyValue": _secret("value"),
}
_INCREMENTAL: Final[dict[str, Setter[sources_pb2.ApiIncremental]]] = {
    "cursorField": _text("cursor_field"),
    "param": _text("param"),
    "format": _text("format"),
    "lookbackSeconds": _whole_number("lookback_seconds"),
    "initial": _text("initial"),
    "fullAfterDays": _whole_number("full_after_days"),
}
_OAUTH2: Final[dict[str, Setter[sources_pb2.OAuth2Auth]]] = {
    "grant": _one_of(
        "grant",
        {
            "clientCredentials": sources_pb2.O_AUTH2_GRANT_CLIENT_CREDENTIALS,
            "refreshToken": sources_pb2.O_AUTH2_GRANT_REFRESH_TOKEN,
        },
    ),
    "tokenUrl": _text("token_url"),
    "clientId": _text("client_id"),
    "clientSecret": _secret("client_secret"),
    "refreshToken": _secret("refresh_token"),
    "scope": _text("scope"),
    "clientAuth": _text("client_auth"),
}
_PAGINATION: Final[dict[str, Setter[sources_pb2.ApiPagination]]] = {
    "enabled": _flag("enabled"),
    "type": _one_of(
        "type",
        {
            "page": sources_pb2.PAGINATION_TYPE_PAGE,
            "offset": sources_pb2.PAGINATION_TYPE_OFFSET,
            "cursor": sources_pb2.PAGINATION_TYPE_CURSOR,
            "link": sources_pb2.PAGINATION_TYPE_LINK,
            "auto": sources_pb2.PAGINATION_TYPE_AUTO,
        },
    ),
    "limitParam": _text("limit_param"),
    "offsetParam": _text("offset_param"),
    "pageParam": _text("page_param"),
    "cursorParam": _text("cursor_param"),
    "maxPages": _whole_number("max_pages"),
    "firstPage": _whole_number("first_page"),
    "pageSize": _whole_number("page_size"),
    "paramsIn": _text("params_in"),
    "cursorPath": _text("cursor_path"),
    "cursorHeader": _text("cursor_header"),
    "nextUrlPath": _text("next_url_path"),
}
