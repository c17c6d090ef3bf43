"""The declared type of a body: JSON in UTF-8, not compressed. Anything else is refused.

Requiring the type also keeps web pages of other sites out: without a CORS preflight, which the gateway does not grant,
a page can send only bodies of other types.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, NoReturn

from starlette.datastructures import Headers

from gateway.errors import RequestFaultError

_JSON: Final = re.compile(r"application/(?:json|[\w!#$&^.+-]+\+json)")
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def require_json(headers: Headers) -> None:
    """Check the headers of a request that has a body.

    Raises:
        RequestFaultError: 415 that names what is not accepted.
    """
    for name in headers.getlist("content-encoding"):
        if name.strip().lower() not in ("", "identity"):
            _refuse(f"the body has the Content-Encoding {name[:100]!r}; send it without", "Content-Encoding")
    types = headers.getlist("content-type")
    if not types:
        _refuse("the body has no Content-Type; send application/json", "Content-Type")
    for text in types:
        kind, _, parameters = text.partition(";")
        if not _JSON.fullmatch(kind.strip().lower()):
            _refuse(f"the body is of the Content-Type {text[:100]!r}; send application/json", "Content-Type")
        for charset in _CHARSET.findall(parameters):
            if charset.lower() not in _UTF8:
                _refuse(f"the body is in the charset {charset[:100]!r}; send JSON in UTF-8", "Content-Type")


def _refuse(text: str, field: str) -> NoReturn:
    raise RequestFaultError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, field=field)
