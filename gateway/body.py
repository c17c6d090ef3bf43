"""Reads the JSON object of a request body: bounded in bytes and depth, and strict about what JSON is.

An empty body counts as `{}`, whatever its type; a UTF-8 byte order mark is skipped. Refused are NaN and Infinity, which
Python's json module accepts although JSON does not have them; what would silently lose a value (a duplicate key, a
number beyond the range of a double); and an unpaired surrogate, which UTF-8 cannot encode.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import math
import re
from http import HTTPStatus
from typing import Any, NoReturn

from starlette.requests import Request

from gateway.errors import RequestFaultError
from gateway.media import require_json

# How much of a body over the limit is read and discarded before the connection is closed.
_DROPPED_BYTES_MAX = 8 * 1024 * 1024
# From this on a body is parsed in a thread, so that others need not wait for it.
_THREAD_BYTES_MIN = 16 * 1024
# Strings are matched whole, so that brackets inside them do not count; an unclosed string extends to the end.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SQUARE = bytes.maketrans(b"{}", b"[]")


async def read_object(request: Request, *, bytes_max: int, depth_max: int) -> dict[str, Any]:
    """Read the body as a JSON object.

    Raises:
        RequestFaultError: 413 when it is longer than `bytes_max`, 415 when its type is not JSON, 400 when it is
            not a JSON object.
    """
    raw = (await _read(request, bytes_max)).removeprefix(codecs.BOM_UTF8)
    if not raw.strip():
        return {}
    require_json(request.headers)
    if len(raw) < _THREAD_BYTES_MIN:
        return parse_object(raw, depth_max=depth_max)
    return await asyncio.to_thread(parse_object, raw, depth_max=depth_max)


def parse_object(raw: bytes, *, depth_max: int) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        RequestFaultError: 400, with `Invalid JSON` as its text when the bytes are not JSON.
    """
    # JSON begins with ASCII, one byte per character in UTF-8; UTF-16 and UTF-32 pad each with zero bytes.
    if b"\0" in raw[:4] or raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _refused("the body is in UTF-16 or UTF-32; send JSON in UTF-8")
    if _is_deeper(raw, depth_max):
        raise _refused(f"the body is nested deeper than {depth_max} levels")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_no_json,
            parse_float=_finite,
            parse_int=_bounded_int,
        )
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refused("the body holds half of a surrogate pair, which is no text") from error
    except ValueError as error:
        raise _refused("Invalid JSON") from error
    if not isinstance(value, dict):
        raise _refused("the body must be a JSON object")
    return value


async def _read(request: Request, bytes_max: int) -> bytes:
    body = bytearray()
    received_bytes = 0
    async for chunk in request.stream():
        received_bytes += len(chunk)
        # A little over the limit is read and discarded: a caller cut off while sending never reads the response.
        if received_bytes > bytes_max + _DROPPED_BYTES_MAX:
            break
        if received_bytes <= bytes_max:
            body += chunk
    if received_bytes > bytes_max:
        raise RequestFaultError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the limit of {bytes_max} bytes"
        )
    return bytes(body)


def _is_deeper(raw: bytes, levels_max: int) -> bool:
    """Whether brackets outside strings are nested deeper; each level costs one pass in C over what is left of them."""
    if raw.count(b"[") + raw.count(b"{") <= levels_max:
        return False
    brackets = _STRING.sub(b"", raw).translate(_SQUARE, _NO_BRACKETS)
    for _ in range(levels_max):
        # The innermost pairs go, so what is left is one level flatter.
        brackets = brackets.replace(b"[]", b"")
    # What is not balanced is no JSON, which the parser says of what is not too deep for it.
    opened = brackets.count(b"[")
    return opened > levels_max or 0 < opened == brackets.count(b"]")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _refused(f"the key {json.dumps(key[:100])} stands twice in one object")
        result[key] = value
    return result


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _refused("the body holds a number beyond what a double can hold")
    return value


def _bounded_int(digits: str) -> int:
    # No option is wider than 64 bits, and int() is slow on very long numbers.
    if len(digits) > 20:
        raise _refused("the body holds a whole number of more than 20 digits")
    return int(digits)


def _refused(text: str) -> RequestFaultError:
    return RequestFaultError(HTTPStatus.BAD_REQUEST, text)
