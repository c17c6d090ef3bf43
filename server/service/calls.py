"""The call that a handler serves: its id in the log, and who makes it. Each call has a task, and so a context, of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Final
from urllib.parse import unquote

import structlog
from techaura_sync.request_ids import REQUEST_ID_KEY, fit_or_new

from server.core.callers import Call

_PORT: Final = re.compile(r":[0-9]+")
_request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")
_call: Final[ContextVar[Call]] = ContextVar("call")


def by_name(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """The texts of a call's metadata; of a name that stands there twice, the first."""
    found: dict[str, str] = {}
    for name, value in metadata or ():
        if isinstance(value, str):
            found.setdefault(name, value)
    return found


def begin_request(metadata: Mapping[str, str]) -> str:
    """Take up the id under which logs have a call: what the caller sent, if it is fit for one, or a new one."""
    request_id = fit_or_new(metadata.get(REQUEST_ID_KEY, ""))
    _request_id.set(request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def request_id() -> str:
    """The id of the call that is served; empty outside of one."""
    return _request_id.get()


def begin_call(call: Call) -> None:
    """Note who makes the call that is served."""
    _call.set(call)


def current_call() -> Call:
    """The call that is served.

    Raises:
        LookupError: none is.
    """
    return _call.get()


def address_of(peer: str) -> str:
    """The address in what grpc calls a peer, such as `ipv4:10.0.0.7:53412`, without its port."""
    kind, _, address = unquote(peer).partition(":")
    return (
        kind if kind == "unix" else _PORT.sub("", address) if kind == "ipv4" else address.rpartition(":")[0].strip("[]")
    )
