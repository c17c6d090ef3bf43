"""Collapses floods of equal log lines: the first ones of an interval pass, then one line says how many were left out.

Lines are equal when level, event, action and reason are; of a fault, its class stands for the reason. What was left out is
said with the first line of any kind after the interval, and at the latest at the end of the program (`tell_all`). Memory is
bounded: of more kinds of lines than `_KINDS_MAX` the oldest is closed early.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog

from server.core.clock import Clock

_KINDS_MAX: Final = 1000
_KEY_CHARS_MAX: Final = 200
LEFT_OUT: Final = "lines_left_out"


class LineKind(NamedTuple):
    """What makes two lines equal."""

    level: str
    event: str
    action: str
    reason: str


@dataclass(slots=True)
class _Interval:
    """The lines of one kind since the first of them."""

    began_seconds: float
    passed: int = 0
    left_out: int = 0


class FloodGate:
    """Lets lines pass, or not.

    Args:
        equal_lines_max: lines of one kind that pass in an interval.
        interval_seconds: how long an interval is.
        tell: called with a kind and how many of its lines were left out, once their interval is over.
    """

    def __init__(
        self, clock: Clock, equal_lines_max: int, interval_seconds: float, tell: Callable[[LineKind, int], None]
    ) -> None:
        self._clock = clock
        self._equal_lines_max = equal_lines_max
        self._interval_seconds = interval_seconds
        self._tell = tell
        # In the order in which they began, so that those that are over stand first.
        self._intervals: OrderedDict[LineKind, _Interval] = OrderedDict()
        # Threads of the pool log too.
        self._lock = threading.Lock()

    def admits(self, kind: LineKind) -> bool:
        """Whether another line of a kind passes."""
        now_seconds = self._clock.monotonic_seconds()
        with self._lock:
            ended = self._ended(now_seconds)
            interval = self._intervals.setdefault(kind, _Interval(now_seconds))
            is_admitted = interval.passed < self._equal_lines_max
            interval.passed += is_admitted
            interval.left_out += not is_admitted
            if len(self._intervals) > _KINDS_MAX:
                ended.append(self._intervals.popitem(last=False))
        self._say(ended)
        return is_admitted

    def tell_all(self) -> None:
        """Say of every kind what was left out so far."""
        with self._lock:
            ended = list(self._intervals.items())
            self._intervals.clear()
        self._say(ended)

    def _ended(self, now_seconds: float) -> list[tuple[LineKind, _Interval]]:
        ended = []
        while self._intervals:
            kind, interval = next(iter(self._intervals.items()))
            if now_seconds - interval.began_seconds < self._interval_seconds:
                break
            ended.append((kind, interval))
            del self._intervals[kind]
        return ended

    def _say(self, ended: list[tuple[LineKind, _Interval]]) -> None:
        for kind, interval in ended:
            if interval.left_out:
                self._tell(kind, interval.left_out)


class FloodProcessor:
    """The gate as a processor of structlog, behind the one that adds the level."""

    def __init__(self, gate: FloodGate) -> None:
        self._gate = gate

    def __call__(self, _logger: object, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Pass a line on.

        Raises:
            structlog.DropEvent: it is left out.
        """
        if line.get("event") != LEFT_OUT and not self._gate.admits(_kind_of(line)):
            raise structlog.DropEvent
        return line


class FloodFilter(logging.Filter):
    """The gate as a filter of the lines of libraries."""

    def __init__(self, gate: FloodGate) -> None:
        super().__init__()
        self._gate = gate

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes; lines made of one text are equal, whatever stands in it."""
        text = str(record.msg)[:_KEY_CHARS_MAX]
        return self._gate.admits(LineKind(record.levelname.lower(), text, record.name[:_KEY_CHARS_MAX], ""))


def _kind_of(line: Mapping[str, Any]) -> LineKind:
    reason = line.get("reason") or _class_of(line.get("exc_info")) or ""
    parts = (line.get("level", ""), line.get("event", ""), line.get("action", ""), reason)
    return LineKind(*(str(part)[:_KEY_CHARS_MAX] for part in parts))


def _class_of(exc_info: object) -> str:
    """The class of the exception that a line is of; empty for none."""
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1] if exc_info is True else None
    return type(error).__name__ if error is not None else ""
