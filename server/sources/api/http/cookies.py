"""The cookies of one attempt (RFC 6265, as far as one origin needs it): kept in memory, sent to the source's origin only.

A cookie of another host or scheme never comes here, for no other is asked. What is no cookie, or too much, is dropped.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

_COOKIES_MAX: Final = 50
_COOKIE_CHARS_MAX: Final = 4096


class RunCookies:
    """What the source has set so far."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], str] = {}

    def take(self, header: str, url: str, now: datetime) -> None:
        """Keep what one Set-Cookie header says.

        Args:
            url: that answered with it.
        """
        pair, *rest = header.split(";")
        name, _, value = pair.partition("=")
        name, value = name.strip(), value.strip()
        attributes = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
        if "=" not in pair or not name or len(pair) > _COOKIE_CHARS_MAX or not _is_sendable(name + value):
            return
        if "secure" in attributes and urlsplit(url).scheme != "https":
            return
        path = attributes.get("path", "")
        key = (name, path if path.startswith("/") else _folder(url))
        self._cookies.pop(key, None)
        if not _has_ended(attributes, now) and len(self._cookies) < _COOKIES_MAX:
            self._cookies[key] = value

    def header(self, url: str, own: str = "") -> str:
        """The value of the Cookie header of a request; empty for none.

        Args:
            own: what the caller's options set.
        """
        path = urlsplit(url).path or "/"
        fitting = [(place, name, value) for (name, place), value in self._cookies.items() if _covers(place, path)]
        # The most special path first.
        fitting.sort(key=lambda one: -len(one[0]))
        return "; ".join(filter(None, [own, *(f"{name}={value}" for _, name, value in fitting)]))

    def values(self) -> set[str]:
        """What no text may show."""
        return set(self._cookies.values())


def _folder(url: str) -> str:
    return (urlsplit(url).path or "/").rpartition("/")[0] or "/"


def _covers(place: str, path: str) -> bool:
    return path == place or path.startswith(place if place.endswith("/") else f"{place}/")


def _is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _has_ended(attributes: dict[str, str], now: datetime) -> bool:
    age = attributes.get("max-age", "")
    if age.removeprefix("-").isdecimal():
        return int(age) <= 0
    try:
        date = parsedate_to_datetime(attributes["expires"])
    except (KeyError, ValueError):
        return False
    return date.replace(tzinfo=date.tzinfo or now.tzinfo) <= now
