"""What a response says about waiting: for how long not to ask, and whether a refusal is a rate limit at all.

Windows that are used up: RateLimit-Remaining and -Reset, RateLimit (`limit=100, remaining=0, reset=30` of older drafts,
`"default";r=0;t=30` of newer ones: draft-ietf-httpapi-ratelimit-headers), and every header whose name has `ratelimit` or
`rate-limit` in it with `remaining`, beside one of that name with `reset`. Waits that are told: Retry-After (RFC 9110,
10.2.3) and its kin (`retry-after-ms`, `x-ratelimit-reset-after`, `x-retry-at`). A time is seconds, milliseconds where the
name says so, a length such as `6m0s`, a date of HTTP or of ISO 8601, or a moment in Unix seconds or milliseconds. What
cannot be read is not there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_PART: Final = re.compile(r"\b(remaining|reset|r|t)=(\d+(?:\.\d+)?)")
_WINDOW: Final = re.compile(r"(?=.*rate-?limit)(?P<before>.*)remaining(?P<after>.*)")
_RESET: Final = re.compile(r"(?=.*rate-?limit).*reset(?!-after)(?P<after>.*)")
_TOLD: Final = re.compile(r"(?:.*-)?(?:retry-after|reset-after|retry-at|retry-until)(?:-ms|-milliseconds|-seconds)?")
_LENGTH: Final = re.compile(r"(?:(?P<number>\d{1,9}(?:\.\d{1,9})?) ?(?P<unit>ms|h|m|s)[a-z]*,? ?)")
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# Said of rate limits, and hardly of anything else.
_WORDS: Final = re.compile(
    r"rate[ _-]?limit|too ?many ?(?:requests|calls)|throttl|(?:request|call|usage|daily)[ _-]?(?:rate[ _-]?)?limit"
    r"|quota ?(?:has been )?exceeded|exceeded (?:your|the) (?:current )?quota|slow ?down",
    re.IGNORECASE,
)
_LIMITED: Final = frozenset({420, 429, 509, 529})
# A page that is not there, and credentials that are wrong, do not come with time.
_LASTING: Final = frozenset({401, 404, 410})
# No window is longer than a day; what says so counts in another unit, and would shut the host out for years.
_WAIT_SECONDS_MAX: Final = 86_400.0
# Whatever is beyond counts from 1970: nobody lets a caller wait for thirty years.
_UNIX_SECONDS_FROM: Final = 1e9
_UNIX_MILLISECONDS_FROM: Final = 1e12


@dataclass(frozen=True, slots=True)
class AskedWait:
    """A response that asks to come back later.

    Args:
        seconds: for how long; None where it does not say.
        of_host: whether the whole host wants to be left alone, and not just this request.
    """

    seconds: float | None
    of_host: bool


def asked_wait(status: int, headers: Mapping[str, str], text: str, now: datetime) -> AskedWait | None:
    """Whether a response asks to come back later rather than refusing; None where it does not.

    Args:
        headers: names in lower case.
        text: the beginning of its body.
    """
    told = told_seconds(headers, now)
    if status == 202:
        return AskedWait(told, of_host=False)
    if status < 400 or status in _LASTING:
        return None
    window = window_of(headers, now).pause_seconds
    if status in _LIMITED or (status in (403, 503) and (window is not None or _is_used_up(headers) or _says_so(text))):
        longest = max(filter(None, (told, window)), default=told if window is None else window)
        return AskedWait(_reset_seconds(headers, now) if longest is None else longest, of_host=True)
    return AskedWait(told, of_host=True) if told is not None else None


def told_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that a response tells by Retry-After or one of its kin, the longest where there are several; or None."""
    waits = [_seconds(name, text, now) for name, text in headers.items() if _TOLD.fullmatch(name)]
    return max((wait for wait in waits if wait is not None), default=None)


@dataclass(frozen=True, slots=True)
class Window:
    """What the host says of the window in which requests are counted.

    Args:
        left: requests that remain, the fewest where there are several policies; None where it does not say.
        pause_seconds: how long to wait before the next request, where a policy is used up; else None.
    """

    left: float | None
    pause_seconds: float | None


def window_of(headers: Mapping[str, str], now: datetime) -> Window:
    """The window as the headers of a response tell it, names in lower case."""
    policies = list(_policies(headers, now))
    # Several may stand in one response: the longest wait among those that are used up.
    waits = [wait for remaining, wait in policies if remaining < 1]
    pause = max((wait for wait in waits if wait is not None and wait <= _WAIT_SECONDS_MAX), default=None)
    return Window(min((remaining for remaining, _wait in policies), default=None), pause)


def _policies(headers: Mapping[str, str], now: datetime) -> Iterator[tuple[float, float | None]]:
    """Requests that remain and the seconds to the reset, of each policy that states both."""
    for name, text in headers.items():
        window, remaining = _WINDOW.fullmatch(name), _number(text)
        if window is None or remaining is None:
            continue
        for unit in ("", "-ms"):
            reset = f"{window['before']}reset{window['after']}{unit}"
            if reset in headers:
                yield remaining, _seconds(reset, headers[reset], now)
    text = headers.get("ratelimit", "")
    for policy in text.split('"')[2::2] if '"' in text else [text]:
        parts = {name[0]: value for name, value in _PART.findall(policy) if name in ("r", "t")}
        parts |= {"rt"[name == "reset"]: value for name, value in _PART.findall(policy) if len(name) > 1}
        if len(parts) == 2:
            yield float(parts["r"]), _seconds("t", parts["t"], now)


def _is_used_up(headers: Mapping[str, str]) -> bool:
    """Whether a window has nothing left, whatever is said of its reset."""
    remaining = [_number(text) for name, text in headers.items() if _WINDOW.fullmatch(name)]
    return any(number is not None and number < 1 for number in remaining)


def _reset_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """The soonest reset that a rate-limited response names without saying what remains."""
    names = [name for name in headers if _RESET.fullmatch(name)]
    waits = [wait for name in names if (wait := _seconds(name, headers[name], now)) is not None]
    return min((wait for wait in waits if wait <= _WAIT_SECONDS_MAX), default=None)


def _says_so(text: str) -> bool:
    return bool(_WORDS.search(text))


def _number(text: str) -> float | None:
    try:
        return float(text.partition(",")[0])
    except ValueError:
        return None


def _seconds(name: str, text: str, now: datetime) -> float | None:
    """The seconds from now on that a header's value means; None for what cannot be read, at least 0."""
    text = text.strip()
    number = _number(text)
    if number is None:
        moment = _moment(text)
        length = sum(float(part["number"]) * _UNIT_SECONDS[part["unit"]] for part in _LENGTH.finditer(text))
        if moment is not None:
            return max(0.0, (moment - now).total_seconds())
        return length if _LENGTH.sub("", text) == "" and text else None
    if not math.isfinite(number):
        return None
    if name.endswith(("-ms", "-milliseconds")) or number >= _UNIX_MILLISECONDS_FROM:
        number /= 1000
    return max(0.0, number - now.timestamp() if number >= _UNIX_SECONDS_FROM else number)


def _moment(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
    return date.replace(tzinfo=date.tzinfo or UTC)
