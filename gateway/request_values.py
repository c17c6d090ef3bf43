"""What routes read of a request: its ids, its page, its body, how long it waits, and its idempotency key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from techaura_sync.request_ids import IDEMPOTENCY_KEY

from gateway.body import read_object
from gateway.config import GatewaySettings
from gateway.endpoint import refuse_unknown
from gateway.errors import TEXT_BY_REASON, RequestFaultError

_DIGITS = re.compile(r"[0-9]{1,19}")
_QUOTES: Final = 2
_INT64_MAX: Final = 2**63 - 1
_INT32_MAX: Final = 2**31 - 1
PAGE_KEYS: Final = ("pageSize", "pageToken")
FILTER_KEYS: Final = ("reason", "column")


def idempotency_key(request: Request) -> str:
    """The Idempotency-Key of a request, bare or as a string of RFC 9651; empty without one.

    Raises:
        RequestFaultError: 400 for more than one, or one that is none.
    """
    given = request.headers.getlist("idempotency-key")
    key = given[0] if given else ""
    if len(key) >= _QUOTES and key[0] == key[-1] == '"':
        key = key[1:-1]
    if given and (len(given) > 1 or not IDEMPOTENCY_KEY.fullmatch(key)):
        raise RequestFaultError(
            HTTPStatus.BAD_REQUEST,
            "Idempotency-Key must stand there once, with 1 to 128 visible ASCII characters",
            field="Idempotency-Key",
        )
    return key


def settings(request: Request) -> GatewaySettings:
    """The settings that the app was built with."""
    result: GatewaySettings = request.app.state.settings
    return result


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object; `{}` when the body is empty."""
    limits = settings(request)
    return await read_object(request, bytes_max=limits.http_body_bytes_max, depth_max=limits.http_json_depth_max)


async def no_body(request: Request) -> None:
    """Read a body that must have no keys.

    Raises:
        RequestFaultError: it is not a JSON object, or has a key.
    """
    refuse_unknown(await json_body(request), frozenset(), "the body")


def run_id(request: Request) -> int:
    """The run that the path names.

    Raises:
        RequestFaultError: 400 when it is not a whole number in the range of run ids, 404 for 0, which no run has.
    """
    text: str = request.path_params["sync_run_id"]
    if not _DIGITS.fullmatch(text) or int(text) > _INT64_MAX:
        raise RequestFaultError(HTTPStatus.BAD_REQUEST, "Invalid sync run ID", field="syncRunId")
    if not int(text):
        # Existing callers expect 404 for any whole number without a run; the service refuses this one as invalid.
        raise RequestFaultError(
            HTTPStatus.NOT_FOUND,
            TEXT_BY_REASON["RUN_NOT_FOUND"],
            reason="RUN_NOT_FOUND",
            field="syncRunId",
            next_step="list the runs to find the id",
        )
    return int(text)


def page_size(given: Mapping[str, str]) -> int:
    """The page size of a query; 0 when there is none.

    Raises:
        RequestFaultError: 400 when it is not a whole number.
    """
    text = given.get("pageSize")
    if text is None:
        return 0
    if not _DIGITS.fullmatch(text) or not 0 < int(text) <= _INT32_MAX:
        raise RequestFaultError(HTTPStatus.BAD_REQUEST, "pageSize must be a whole number over 0", field="pageSize")
    return int(text)


def wait_seconds(request: Request, seconds_max: int) -> int:
    """The `wait` of a query; 0 when there is none.

    Raises:
        RequestFaultError: 400 when it is not a whole number within the limit.
    """
    text = request.query_params.get("wait", "0")
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > seconds_max:
        text = f"wait must be a number of seconds up to {seconds_max} (TECHAURA_SYNC_GATEWAY_WAIT_SECONDS_MAX)"
        raise RequestFaultError(HTTPStatus.BAD_REQUEST, text, field="wait")
    return int(text)
