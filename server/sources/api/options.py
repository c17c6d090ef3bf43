"""Options of source type api (contract, section 1) as one strict model; a wrong document is refused in a sentence.

`parse_options` is the only way in. Unknown options are errors, nothing is coerced, and no error shows a value: values
may be secrets. A null counts as absent. `SECRET_PLACES` says where the document holds secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from server.core.errors import Invalid
from server.core.secret_box import SecretPlaces, SecretValue
from server.sources.api.secret_names import secret_name
from server.sources.write_options import WriteOptions

# What a mapping may fill; the table itself is server/targets/content_index.py, and a test keeps the two alike.
FIELD_TARGETS: Final = ("content_type", "title", "artist", "genre", "external_id", "metadata", "is_available")

PUBLIC_HEADERS: Final = frozenset(
    [
        "accept",
        "accept-charset",
        "accept-language",
        "cache-control",
        "content-language",
        "content-type",
        "from",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "origin",
        "prefer",
        "referer",
        "user-agent",
        "x-requested-with",
        "x-api-version",
        "api-version",
    ]
)
# The client writes these itself; a caller who sets them could smuggle a request or reach another virtual host.
_FORBIDDEN_HEADERS: Final = frozenset(
    [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "accept-encoding",
        "expect",
        "proxy-authorization",
        "proxy-connection",
    ]
)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")

SECRET_PLACES: Final = SecretPlaces(
    values=("auth.token", "auth.password", "auth.apiKeyValue"),
    maps=("headers",),
    public_names=PUBLIC_HEADERS,
)


def header_value_is_sendable(value: str) -> bool:
    """Whether a text can be a header's value: printable, no line break, ISO 8859-1."""
    return all((" " <= char <= "\xff" and char != "\x7f") or char == "\t" for char in value) and value == value.strip()


def _secret(document: object) -> SecretValue:
    secret = SecretValue.parse(document)
    if not secret.text:
        raise ValueError("is empty")
    return secret


def _sendable(secret: SecretValue) -> SecretValue:
    if secret.kind == "inline" and not header_value_is_sendable(secret.text):
        raise ValueError("cannot be sent in a header: it has control characters, outer spaces or is not ISO 8859-1")
    return secret


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is no header name")
    if name.lower() in _FORBIDDEN_HEADERS:
        raise ValueError("may not be set: the client writes this header itself")
    return name


def _parameter_name(name: str) -> str:
    if any(char <= " " or char == "\x7f" for char in name):
        raise ValueError("has spaces or control characters")
    return name


def _dot_path(path: str) -> str:
    if any(not segment for segment in path.split(".")):
        raise ValueError("is no dot path, such as result.items")
    return path


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Secret = Annotated[SecretValue, PlainValidator(_secret)]
HeaderSecret = Annotated[SecretValue, PlainValidator(_secret), AfterValidator(_sendable)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
ParameterName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_parameter_name)]
DotPath = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_dot_path)]


class _Options(BaseModel):
    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )


class BearerAuth(_Options):
    """Authorization: Bearer."""

    type: Literal["bearer"]
    token: HeaderSecret


class BasicAuth(_Options):
    """Authorization: Basic (RFC 7617, UTF-8)."""

    type: Literal["basic"]
    username: Annotated[str, Field(max_length=1024, pattern="^[^:\x00-\x1f\x7f]*$")]
    password: Secret


class ApiKeyAuth(_Options):
    """A key in a header or in a query parameter of the API's own; one of the two is named."""

    type: Literal["apikey"]
    api_key_header: HeaderName | None = None
    api_key_param: ParameterName | None = None
    api_key_value: HeaderSecret

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.api_key_header is None) == (self.api_key_param is None):
            raise ValueError("must name either apiKeyHeader or apiKeyParam")
        return self


class Pagination(_Options):
    """How the API is paged. See paging.py for what ends a run."""

    enabled: bool
    type: Literal["page", "offset", "cursor", "link", "auto"] = "page"
    page_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    params_in: Literal["query", "body"] = "query"
    limit_param: ParameterName = "limit"
    offset_param: ParameterName = "offset"
    page_param: ParameterName = "page"
    cursor_param: ParameterName = "cursor"
    cursor_path: DotPath | None = None
    cursor_header: HeaderName | None = None
    next_url_path: DotPath | None = None
    max_pages: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class ApiOptions(_Options, WriteOptions):
    """The whole document."""

    method: Annotated[Literal["GET", "POST"], BeforeValidator(_upper)] = "GET"
    headers: Annotated[dict[HeaderName, HeaderSecret], Field(max_length=64)] = Field(default_factory=dict)
    auth: Annotated[BearerAuth | BasicAuth | ApiKeyAuth, Field(discriminator="type")] | None = None
    data_path: DotPath | None = None
    content_type: Literal["music", "video", "movie", "game", "other"] = "music"
    field_mapping: Annotated[dict[str, DotPath], Field(max_length=64)] = Field(default_factory=dict)
    body: dict[str, Any] | None = None
    pagination: Pagination = Pagination(enabled=False)

    @model_validator(mode="after")
    def _body_is_posted(self) -> Self:
        if self.method == "GET" and (self.body is not None or self.pagination.params_in == "body"):
            raise ValueError("body and pagination.paramsIn body need method POST")
        secret = secret_name(self.body)
        if secret:
            raise ValueError(f"body holds a secret in {secret!r} and would be stored in clear; use headers or auth")
        return self

    @model_validator(mode="after")
    def _mirror_sees_everything(self) -> Self:
        if self.mode == "mirror" and self.pagination.max_pages is not None:
            raise ValueError("pagination.maxPages would leave rows out, which mode mirror would then switch off")
        return self

    @model_validator(mode="after")
    def _headers_are_distinct(self) -> Self:
        names = [name.lower() for name in self.headers]
        if len(set(names)) != len(names):
            raise ValueError("headers: a name stands there twice, in different case")
        return self


def parse_options(document: Mapping[str, Any], *, from_caller: bool = False) -> ApiOptions:
    """Check a document and make the model of it.

    Args:
        document: JSON, keys in camelCase.
        from_caller: refuse sealed secrets; only the service's own store may hold them, and a caller who could send one
            back would have it opened for a host of his choice.

    Raises:
        Invalid: INVALID_OPTION or INVALID_MAPPING; `field` names the option and the text no value.
    """
    try:
        options = ApiOptions.model_validate(_without_nulls(document))
    except ValidationError as error:
        raise _invalid(error.errors(include_input=False, include_url=False)[0]) from None
    for column in options.field_mapping:
        if column not in FIELD_TARGETS:
            raise Invalid(
                "INVALID_MAPPING",
                f"options.fieldMapping: content_index has no column {column!r}; there are {', '.join(FIELD_TARGETS)}",
                field=f"options.fieldMapping.{column}",
            )
    if from_caller:
        for place, secret in _secrets(options, "options"):
            if secret.kind == "encrypted":
                raise Invalid("INVALID_OPTION", f"{place} is encrypted; send the secret itself", field=place)
    return options


def _secrets(model: BaseModel, prefix: str) -> list[tuple[str, SecretValue]]:
    found: list[tuple[str, SecretValue]] = []
    for name, value in model:
        place = f"{prefix}.{to_camel(name)}"
        if isinstance(value, SecretValue):
            found.append((place, value))
        elif isinstance(value, BaseModel):
            found.extend(_secrets(value, place))
        elif isinstance(value, dict):
            found.extend((f"{place}.{key}", item) for key, item in value.items() if isinstance(item, SecretValue))
    return found


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value


# Places in pydantic's error locations that are no part of the document: tags of a union, "the key of a mapping".
_UNION_TAGS: Final = frozenset({"bearer", "basic", "apikey", "[key]"})


def _invalid(error: ErrorDetails) -> Invalid:
    """The first error as a sentence. Pydantic's own texts are used only for kinds that never quote the input."""
    kind, context = error["type"], error.get("ctx", {})
    location = [str(part) for part in error["loc"]]
    place = ".".join(["options", *(part for part in location if part not in _UNION_TAGS)])
    sentences = {
        "missing": "is required",
        "extra_forbidden": "is no known option",
        "union_tag_invalid": f"has a type that does not exist; there are {context.get('expected_tags')}",
        "union_tag_not_found": "lacks its type: bearer, basic or apikey",
        "string_pattern_mismatch": "has characters that it may not have",
        "assertion_error": "is wrong",
        "value_error": str(context.get("error", "")),
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
        "dict_type": "must be an object",
    }
    message = sentences.get(kind) or f"is wrong: {_lower_first(error['msg'])}"
    return Invalid("INVALID_OPTION", f"{place} {message}", field=place)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
