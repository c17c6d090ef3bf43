"""Options of source type api (contract, section 1) as one strict model; a wrong document is refused in a sentence.

`parse_options` is the only way in. Unknown options are errors, nothing is coerced, and no error shows a value: values
may be secrets. A null counts as absent. `SECRET_PLACES` says where the document holds secrets. What each option means stands
in protos/techaura/sync/v1/api_source.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from server.core.errors import InvalidRequestError
from server.core.number_format import NumberOptions
from server.core.reasons import Reason
from server.core.secret_box import SecretPlaces, SecretValue
from server.sources.api.option_base import FieldPath, HeaderName, OptionModel, ParameterName, Path
from server.sources.api.pagination_options import Pagination
from server.sources.api.presets import PresetName, filled_in, with_preset
from server.sources.api.request_body import content_problem, is_too_deep, references
from server.sources.api.urls import problem_of
from server.sources.api.watermark import Incremental
from server.sources.delimiter_texts import understood_delimiter
from server.sources.number_format import NumberFormat
from server.sources.secret_names import means_secret
from server.sources.write_options import DEFAULT_WRITE_OPTIONS, WriteOptions
from server.targets.registry import TARGETS, find_target

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
SECRET_PLACES: Final = SecretPlaces(
    values=(
        "auth.token",
        "auth.username",
        "auth.password",
        "auth.apiKeyValue",
        "auth.clientSecret",
        "auth.refreshToken",
    ),
    maps=("headers",),
    public_names=PUBLIC_HEADERS,
    trees=("query", "body", "auth.params"),
    means_secret=means_secret,
)


def header_value_is_sendable(value: str) -> bool:
    """Whether a text can be a header's value: printable, no line break, ISO 8859-1."""
    return all((" " <= char <= "\xff" and char != "\x7f") or char == "\t" for char in value) and value == value.strip()


def username_is_sendable(username: str) -> bool:
    """Whether a text can be the user's name of basic credentials (RFC 7617)."""
    return not any(char == ":" or char < " " or char == "\x7f" for char in username)


def _username(secret: SecretValue) -> SecretValue:
    if secret.kind == "inline" and (len(secret.text) > 1024 or not username_is_sendable(secret.text)):
        raise ValueError("has characters that it may not have, or is too long")
    return secret


def _secret(document: object) -> SecretValue:
    secret = SecretValue.parse(document)
    if not secret.text:
        raise ValueError("is empty")
    return secret


def _sendable(secret: SecretValue) -> SecretValue:
    if secret.kind == "inline" and not header_value_is_sendable(secret.text):
        raise ValueError("cannot be sent in a header: it has control characters, outer spaces or is not ISO 8859-1")
    return secret


def _token_url(url: str) -> str:
    if found := problem_of(url):
        raise ValueError(found)
    return url


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Secret = Annotated[SecretValue, PlainValidator(_secret)]
MaybeEmptySecret = Annotated[SecretValue, PlainValidator(SecretValue.parse)]
Username = Annotated[SecretValue, PlainValidator(SecretValue.parse), AfterValidator(_username)]
HeaderSecret = Annotated[SecretValue, PlainValidator(_secret), AfterValidator(_sendable)]


class BearerAuth(OptionModel):
    """Authorization: Bearer."""

    type: Literal["bearer"]
    token: HeaderSecret


class BasicAuth(OptionModel):
    """Authorization: Basic (RFC 7617, UTF-8)."""

    type: Literal["basic"]
    username: Username
    password: MaybeEmptySecret


class ApiKeyAuth(OptionModel):
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


class OAuth2Auth(OptionModel):
    """An access token of an OAuth 2.0 endpoint (RFC 6749)."""

    type: Literal["oauth2"]
    grant: Literal["clientCredentials", "refreshToken", "password"] = "clientCredentials"
    token_url: Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_token_url)]
    client_id: Annotated[str, Field(min_length=1, max_length=1024)]
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    scope: Annotated[str, Field(max_length=2048)] | None = None
    client_auth: Literal["basic", "body"] = "basic"
    audience: Annotated[str, Field(max_length=2048)] | None = None
    params: Annotated[dict[ParameterName, MaybeEmptySecret], Field(max_length=32)] = Field(default_factory=dict)
    username: Secret | None = None
    password: Secret | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.grant == "clientCredentials" and (self.client_secret is None or self.refresh_token is not None):
            raise ValueError("with grant clientCredentials needs clientSecret, and takes no refreshToken")
        if self.grant == "refreshToken" and self.refresh_token is None:
            raise ValueError("with grant refreshToken needs refreshToken")
        is_password = self.grant == "password"
        if is_password and (self.username is None or self.password is None or self.refresh_token is not None):
            raise ValueError("with grant password needs username and password, and takes no refreshToken")
        if not is_password and (self.username is not None or self.password is not None):
            raise ValueError("takes username and password with grant password only")
        return self


class ApiOptions(OptionModel, WriteOptions):
    """The whole document."""

    method: Annotated[Literal["GET", "POST"], BeforeValidator(_upper)] = "GET"
    headers: Annotated[dict[HeaderName, HeaderSecret], Field(max_length=64)] = Field(default_factory=dict)
    auth: Annotated[BearerAuth | BasicAuth | ApiKeyAuth | OAuth2Auth, Field(discriminator="type")] | None = None
    format: Literal["auto", "json", "ndjson", "csv"] = "auto"
    csv_delimiter: str = Field(",", min_length=1, max_length=8)
    data_path: Path | None = None
    field_mapping: Annotated[dict[str, FieldPath], Field(max_length=64)] = Field(default_factory=dict)
    body: dict[str, Any] | None = None
    requests_per_second: Annotated[float, Field(ge=0.01, le=1000)] | None = None
    conditional: bool = True
    pagination: Pagination = Pagination(enabled=False)
    incremental: Incremental | None = None
    number_format: NumberFormat = NumberFormat()
    query: Annotated[dict[ParameterName, MaybeEmptySecret], Field(max_length=64)] = Field(default_factory=dict)

    row_names_path: Path | None = None
    preset: PresetName | None = None
    # What the preset has filled in, as JSON; empty without one.
    _filled_in: str = PrivateAttr("")

    @property
    def filled_in(self) -> str:
        """What the preset has filled in beneath the caller's own options, as JSON; empty without one."""
        return self._filled_in

    @property
    def numbers(self) -> NumberOptions:
        """How numbers are written that are texts of an item."""
        return NumberOptions(self.number_format.format, has_format=True)

    @property
    def body_media_type(self) -> str:
        """What the caller's headers call the body, lower case; empty where they do not."""
        called = next((value for name, value in self.headers.items() if name.lower() == "content-type"), None)
        return called.text.partition(";")[0].strip().lower() if called and called.kind == "inline" else ""

    @field_validator("csv_delimiter", mode="before")
    @classmethod
    def _delimiter_is_understood(cls, value: Any) -> Any:
        return understood_delimiter(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _body_is_posted(self) -> Self:
        if self.method == "GET" and (self.body is not None or self.pagination.params_in == "body"):
            raise ValueError("body and pagination.paramsIn body need method POST")
        if self.body is not None and is_too_deep(self.body):
            raise ValueError("body is nested too deep")
        problem = content_problem(self.body_media_type, self.body) if self.method == "POST" else ""
        if problem:
            raise ValueError(f"body {problem}")
        return self

    @model_validator(mode="after")
    def _mirror_sees_everything(self) -> Self:
        if self.mode == "mirror" and self.pagination.max_pages is not None:
            raise ValueError("pagination.maxPages would leave rows out, which mode mirror would then switch off")
        if self.mode == "mirror" and self.incremental is not None:
            raise ValueError("incremental leaves rows out, which mode mirror would then switch off")
        return self

    @model_validator(mode="after")
    def _incremental_sees_every_change(self) -> Self:
        if self.incremental is not None and self.pagination.max_pages is not None:
            raise ValueError("pagination.maxPages would leave changes out, which incremental would never look at again")
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
        InvalidRequestError: INVALID_OPTION or INVALID_MAPPING; `field` names the option and the text no value.
    """
    document = _without_nulls(document)
    target = TARGETS.get(str(document.get("targetTable", DEFAULT_WRITE_OPTIONS.target_table)))
    columns = target.by_name if target is not None else {}
    try:
        options = ApiOptions.model_validate(with_preset(document, columns))
    except ValidationError as error:
        raise _invalid(error.errors(include_input=False, include_url=False)[0]) from None
    options._filled_in = filled_in(document, columns)  # noqa: SLF001 - its own
    _check_columns(options)
    if from_caller:
        for place, secret in _secrets(options, "options"):
            if secret.kind == "encrypted":
                raise InvalidRequestError(
                    Reason.INVALID_OPTION, f"{place} is encrypted; send the secret itself", field=place
                )
    return options


def _check_columns(options: ApiOptions) -> None:
    target = find_target(options.target_table)
    for column in options.field_mapping:
        if column not in target.by_name:
            raise InvalidRequestError(
                Reason.INVALID_MAPPING,
                f"options.fieldMapping: {target.name} has no column {column!r}; there are {', '.join(target.by_name)}",
                field=f"options.fieldMapping.{column}",
            )


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
            found.extend(references(value, place))
    return found


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value


# Places in pydantic's error locations that are no part of the document: tags of a union, "the key of a mapping".
_UNION_TAGS: Final = frozenset({"bearer", "basic", "apikey", "oauth2", "[key]"})


def _invalid(error: ErrorDetails) -> InvalidRequestError:
    """The first error as a sentence. Pydantic's own texts are used only for kinds that never quote the input."""
    kind, context = error["type"], error.get("ctx", {})
    location = [str(part) for part in error["loc"]]
    place = ".".join(["options", *(part for part in location if part not in _UNION_TAGS)])
    sentences = {
        "missing": "is required",
        "extra_forbidden": "is no known option",
        "union_tag_invalid": f"has a type that does not exist; there are {context.get('expected_tags')}",
        "union_tag_not_found": "lacks its type: bearer, basic, apikey or oauth2",
        "string_pattern_mismatch": "has characters that it may not have",
        "assertion_error": "is wrong",
        "value_error": str(context.get("error", "")),
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
        "dict_type": "must be an object",
    }
    message = sentences.get(kind) or f"is wrong: {_lower_first(error['msg'])}"
    return InvalidRequestError(Reason.INVALID_OPTION, f"{place} {message}", field=place)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
