"""The error that a response means which is no page: by its status, and in the source's own words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from server.core.errors import FatalError, RetryableError, SyncError
from server.core.reasons import Category, Reason
from server.sources.api.http.rate_limits import asked_wait
from server.sources.api.http.source_words import schemes_of
from server.sources.throttle.circuit import ComeBackLaterError, RateLimitedError

_RETRIED: Final = frozenset({408, 425})
_SUPPORTED_SCHEMES: Final = frozenset({"basic", "bearer"})
_ADVICE: Final = "check the URL, the method and the parameters"
# Some APIs say "past the last page" by these.
_PAST_END: Final = frozenset({400, 404, 416, 422})
# So much of a body is looked through for words about a rate limit.
_LOOK_BYTES: Final = 4096


class PageMissingError(FatalError):
    """The source does not give this page. Some APIs say "past the last page" in this way.

    Args:
        status: 400, 404, 416 or 422.
    """

    def __init__(self, status: int, message: str, next_step: str | None = None) -> None:
        super().__init__(Reason.SOURCE_REFUSED, message, next_step=next_step)
        self.status = status


class UnauthorizedError(FatalError):
    """The source answered 401 or 403.

    Args:
        status: which of them.
    """

    def __init__(self, status: int, message: str, next_step: str) -> None:
        super().__init__(Reason.AUTHENTICATION_FAILED, message, category=Category.AUTHENTICATION, next_step=next_step)
        self.status = status


def refusal(
    status: int, headers: Mapping[str, str], words: str, body: bytes, now: datetime, source: str, hint: str
) -> SyncError:
    """The error of a response.

    Args:
        status: 202, or one from 400 on.
        headers: names in lower case.
        words: what the source says, fit to be shown; empty for nothing.
        body: its beginning.
        source: what was asked for, as it may be shown.
        hint: what to check when credentials are refused.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()[:100]
    said = f"{f' ({kind})' if kind else ''}: {words}" if words else ""
    text = f"{source} answered {status}{said}"
    wait = asked_wait(status, headers, body[:_LOOK_BYTES].decode("utf-8", "replace"), now)
    if wait is not None:
        later = RateLimitedError if wait.of_host else ComeBackLaterError
        return later(Reason.SOURCE_UNAVAILABLE, text, retry_after_seconds=wait.seconds)
    if status in _RETRIED or status >= 500:
        return RetryableError(Reason.SOURCE_UNAVAILABLE, text)
    if status in (401, 403):
        hint = f"{_asked_schemes(schemes_of(headers))}{hint}"
        return UnauthorizedError(status, f"{text}{';' if said else ':'} {hint}", hint)
    if status == 404:
        return PageMissingError(status, text if said else f"{text}: there is nothing at this address")
    next_step = f"mend what the source names; {_ADVICE} against its manual" if said else None
    text = text if said else f"{text}; {_ADVICE}"
    if status in _PAST_END:
        return PageMissingError(status, text, next_step)
    return FatalError(Reason.SOURCE_REFUSED, text, next_step=next_step)


def _asked_schemes(schemes: tuple[str, ...]) -> str:
    """What the source says of how it wants to be asked."""
    if not schemes:
        return ""
    names = ", ".join(schemes)
    if any(scheme.lower() in _SUPPORTED_SCHEMES for scheme in schemes):
        return f"it asks for {names}; "
    return f"it asks for {names}, which is not supported; ask its owner for a key or a token; "
