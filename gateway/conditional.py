"""Responses that say only that nothing has changed (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response


class NotChanged(Response):
    """304: the caller has what it would be sent.

    Args:
        etag: of that.
    """

    def __init__(self, etag: str) -> None:
        super().__init__(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})


def etag_of(data: Mapping[str, object]) -> str:
    """A name for what a response says. A weak one: the body has its time besides."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f'W/"{hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether a request names this ETag, or any, in its If-None-Match; compared weakly."""
    given = ",".join(request.headers.getlist("if-none-match"))
    names = {name.strip().removeprefix("W/") for name in given.split(",")}
    return "*" in names or etag.removeprefix("W/") in names
