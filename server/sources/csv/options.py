"""Options of source type csv, as data: they drive validation and error texts, and /openapi.json takes limits and defaults.

What each option means stands in protos/techaura/sync/v1/csv_source.proto. Defaults are the ones that existing callers rely on (comma, UTF-8, one header record). A wrong option raises
`InvalidRequestError` with reason INVALID_OPTION and a field such as `options.delimiter`; nothing has been opened then.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from server.core.errors import InvalidRequestError
from server.core.number_format import DECIMAL_COMMA, NumberOptions
from server.core.reasons import Reason
from server.sources.csv.encoding_names import encoding_of_name
from server.sources.delimiter_texts import understood_delimiter
from server.sources.number_format import NumberFormat
from server.sources.write_options import WriteOptions

AUTO: Final = "auto"
_LINE_BREAKS: Final = frozenset("\r\n")

ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
Token = Annotated[str, Field(max_length=100)]


class CsvOptions(WriteOptions):
    """How one CSV file is read and where its rows go. Keys are camelCase in JSON."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    format: Literal["auto", "csv", "ndjson", "xlsx", "ods", "parquet"] = "auto"
    delimiter: str = Field(",", min_length=1, max_length=8)
    has_header: bool = True
    header_lines: int = Field(1, ge=1, le=10)
    encoding: str = Field("utf-8", min_length=1, max_length=40)
    quote: str = Field('"', max_length=1)
    escape: str | None = Field(None, max_length=1)
    stray_quotes: Literal["reject", "keep"] = "reject"
    missing_fields: Literal["reject", "empty"] = "reject"
    preamble_lines: int = Field(0, ge=0, le=10_000)
    comment_prefix: str | None = Field(None, min_length=1, max_length=8)
    decimal_comma: bool = False
    number_format: NumberFormat = NumberFormat()
    strip_text: bool = True
    null_tokens: tuple[Token, ...] = Field((), max_length=100)
    column_mapping: dict[ColumnName, ColumnName] = Field(default_factory=dict, max_length=1000)
    sheet: str | None = Field(None, min_length=1, max_length=500)
    column_aliases: dict[ColumnName, tuple[ColumnName, ...]] = Field(default_factory=dict, max_length=1000)

    @field_validator("null_tokens", mode="before")
    @classmethod
    def _list_is_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("column_aliases", mode="before")
    @classmethod
    def _lists_are_tuples(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: tuple(names) if isinstance(names, list) else names for key, names in value.items()}

    @field_validator("column_aliases")
    @classmethod
    def _aliases_are_few(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if any(len(names) > 100 for names in value.values()):
            raise PydanticCustomError("aliases", "may hold at most 100 names for one column")
        return value

    @field_validator("delimiter", mode="before")
    @classmethod
    def _tab_in_words(cls, value: Any) -> Any:
        return understood_delimiter(value) if isinstance(value, str) else value

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, value: str) -> str:
        if value.lower() == AUTO:
            return AUTO
        try:
            return encoding_of_name(value)
        except LookupError as error:
            raise PydanticCustomError("encoding", "{why}", {"why": str(error.args[0])}) from error

    @field_validator("delimiter", "comment_prefix")
    @classmethod
    def _no_line_break(cls, value: str | None) -> str | None:
        if value is not None and (_LINE_BREAKS & set(value) or "\0" in value):
            raise PydanticCustomError("line_break", "may hold no line break and no NUL")
        return value

    @field_validator("quote", "escape")
    @classmethod
    def _plain_ascii(cls, value: str | None) -> str | None:
        if value and (not value.isascii() or value in _LINE_BREAKS or value == "\0"):
            raise PydanticCustomError("ascii", "must be one ASCII character, and no line break")
        return value

    @model_validator(mode="after")
    def _characters_differ(self) -> CsvOptions:
        if self.delimiter != AUTO and self.quote and self.quote in self.delimiter:
            raise PydanticCustomError("clash", "options.quote must not be part of options.delimiter")
        if self.delimiter != AUTO and self.escape and self.escape in self.delimiter:
            raise PydanticCustomError("clash", "options.escape must not be part of options.delimiter")
        return self

    @model_validator(mode="after")
    def _numbers_have_one_format(self) -> CsvOptions:
        declared, short = self.number_format, DECIMAL_COMMA
        for name, given, meant in (
            ("decimal", declared.decimal, short.decimal),
            ("grouping", declared.grouping, short.grouping),
        ):
            if self.decimal_comma and given not in (None, meant):
                raise PydanticCustomError(
                    "clash",
                    f"options.numberFormat.{name} contradicts options.decimalComma, which means numbers such as 69.900,50: "
                    "leave out one of the two",
                )
        return self

    @property
    def numbers(self) -> NumberOptions:
        """How numbers are written that are texts of the file."""
        declared = self.number_format
        if self.decimal_comma:
            made = replace(DECIMAL_COMMA, currency=declared.currency)
            return NumberOptions(made, decimal_comma=True, has_format=True)
        decimal_comma = None if declared.names_marks else False
        return NumberOptions(declared.format, decimal_comma=decimal_comma, has_format=True)


def parse_options(document: Mapping[str, Any]) -> CsvOptions:
    """Check the JSON document of a request.

    A null is the same as leaving the option out, because old callers send both.

    Args:
        document: the decoded `options` object.

    Raises:
        InvalidRequestError: INVALID_OPTION; its field names the option, its message says what may stand there.
    """
    if not isinstance(document, Mapping):
        raise InvalidRequestError(Reason.INVALID_OPTION, "options must be a JSON object", field="options")
    if any(not isinstance(key, str) for key in document):
        raise InvalidRequestError(Reason.INVALID_OPTION, "options has a key that is no text", field="options")
    given = {key: value for key, value in document.items() if value is not None}
    try:
        return CsvOptions.model_validate(given, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _explained(error.errors(include_url=False, include_input=False)[0]) from error
    except RecursionError as error:
        raise InvalidRequestError(Reason.INVALID_OPTION, "options is nested too deeply", field="options") from error


def _explained(detail: ErrorDetails) -> InvalidRequestError:
    """Turn one finding of pydantic into a sentence that names the option."""
    parts = [str(part) for part in detail["loc"] if part != "[key]"]
    field = ".".join(["options", *(part[:80] for part in parts)])
    if detail["type"] == "extra_forbidden":
        model = NumberFormat if len(parts) > 1 else CsvOptions
        known = [info.alias or name for name, info in model.model_fields.items()]
        near = difflib.get_close_matches(parts[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return InvalidRequestError(
            Reason.INVALID_OPTION, f"{field} is not an option of a csv source; {hint}", field=field
        )
    if detail["type"] == "clash":
        name = detail["msg"].split(" ", 1)[0]
        return InvalidRequestError(Reason.INVALID_OPTION, detail["msg"], field=name)
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    return InvalidRequestError(Reason.INVALID_OPTION, f"{field}: {message}", field=field)
