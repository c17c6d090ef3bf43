"""What the option models of the api source share: strictness, and the checked texts that several of them use."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from server.sources.api.items.paths import PATH_CHARS_MAX, check_field, check_path

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


def _parameter_name(name: str) -> str:
    if any(char <= " " or char == "\x7f" for char in name):
        raise ValueError("has spaces or control characters")
    return name


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is no header name")
    if name.lower() in _FORBIDDEN_HEADERS:
        raise ValueError("may not be set: the client writes this header itself")
    return name


ParameterName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_parameter_name)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
# Empty: the parameter is not sent.
MaybeParameterName = Annotated[str, Field(max_length=128), AfterValidator(_parameter_name)]
Path = Annotated[str, Field(min_length=1, max_length=PATH_CHARS_MAX), AfterValidator(check_path)]
FieldPath = Annotated[str, Field(min_length=1, max_length=PATH_CHARS_MAX), AfterValidator(check_field)]


class OptionModel(BaseModel):
    """Unknown options are errors, nothing is coerced, and no error shows a value."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )
