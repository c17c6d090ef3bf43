"""What a response says about the host's rate limit, in each of the customary spellings.

RateLimit-Remaining and -Reset (seconds), RateLimit (`limit=100, remaining=0, reset=30` of older drafts, `"default";r=0;t=30`
of newer ones: draft-ietf-httpapi-ratelimit-headers), X-RateLimit-* and X-Rate-Limit-* (seconds, or a moment in Unix
seconds or milliseconds). What cannot be read is not there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

_PREFIXES: Final = ("ratelimit", "x-ratelimit", "x-rate-limit")
_PART: Final = re.compile(r"\b(remaining|reset|r|t)=(\d+(?:\.\d+)?)")
# Whatever is beyond counts from 1970: nobody lets a caller wait for thirty years.
# No window is longer than a day; what says so counts in another unit, and would shut the host out for years.
_WAIT_SECONDS_MAX: Final = 86_400.0
_UNIX_SECONDS_FROM: Final = 1e9
_UNIX_MILLISECONDS_FROM: Final = 1e12


def pause_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long to wait before the next request, where the host's window is used up; else None.

    Args:
        headers: names in lower case.
    """
    # Several policies may stand in one header, joined by commas: the longest wait among those that are used up.
    waits = [wait for policy in _policies(headers) if policy[0] < 1 and (wait := _seconds(policy[1], now)) is not None]
    waits = [wait for wait in waits if wait <= _WAIT_SECONDS_MAX]
    return max(waits) if waits else None


def _policies(headers: Mapping[str, str]) -> list[tuple[float, float]]:
    """Requests that remain and the reset, of each policy that states both."""
    found = []
    for prefix in _PREFIXES:
        remaining, reset = _number(headers, f"{prefix}-remaining"), _number(headers, f"{prefix}-reset")
        if remaining is not None and reset is not None:
            found.append((remaining, reset))
    text = headers.get("ratelimit", "")
    for policy in text.split('"')[2::2] if '"' in text else [text]:
        parts = {name[0]: float(value) for name, value in _PART.findall(policy) if name in ("r", "t")}
        parts |= {"rt"[name == "reset"]: float(value) for name, value in _PART.findall(policy) if len(name) > 1}
        if len(parts) == 2:
            found.append((parts["r"], parts["t"]))
    return found


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        return float(headers.get(name, "").partition(",")[0])
    except ValueError:
        return None


def _seconds(reset: float, now: datetime) -> float | None:
    if not math.isfinite(reset):
        return None
    if reset >= _UNIX_MILLISECONDS_FROM:
        reset /= 1000
    return max(0.0, reset - now.timestamp() if reset >= _UNIX_SECONDS_FROM else reset)
