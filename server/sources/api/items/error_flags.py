"""Whether a page tells of an error, as some sources do with status 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ERRORS: Final = ("error", "errors")
_FLAGS: Final = ("success", "ok", "Success", "isSuccess", "is_success", "succeeded")
_STATUSES: Final = ("status", "state", "result")
_NO_STATUSES: Final = frozenset({"error", "fail", "failed", "failure"})


def says_error(envelope: Any) -> bool:
    """Whether a page without items tells of an error: by what holds errors, by a flag or by a status."""
    if not isinstance(envelope, Mapping):
        return False
    return (
        any(envelope.get(name) for name in _ERRORS)
        or any(envelope.get(name) in (False, 0) for name in _FLAGS if envelope.get(name) is not None)
        or any(str(envelope[name]).lower() in _NO_STATUSES for name in _STATUSES if isinstance(envelope.get(name), str))
    )
