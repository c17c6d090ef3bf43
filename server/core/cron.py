"""When a cron schedule is due, in its own time zone: pure functions of a time that is passed in.

A fire is named by its local wall time, `2026-11-01 03:00`, which decides that it happens once: where the clock goes back
and 03:00 comes twice, both are the same fire; where the clock goes forward over 03:00, the fire comes at the instant that
03:00 would have been. croniter sees naive local times only: its own handling of time zones fires twice where the clock
goes back (croniter 7, 03:00 in Helsinki).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

CRON_CHARS_MAX: Final = 100
# Numbers, names of months and days, and what joins them. croniter knows more: H and R are taken by chance, each time anew.
_FIELD: Final = re.compile(
    r"(?:[0-9*/,?#-]|L|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|MON|TUE|WED|THU|FRI|SAT|SUN)+", re.IGNORECASE
)
# The finest that five fields can say.
_ON_TIME_SECONDS: Final = 60.0
# As many as an expression of the finest kind has in an hour and a half, so that minutes of two hours are compared too.
_FIRES_COMPARED: Final = 90
# Zones in name only: what they stand for is up to the machine, and replicas would differ.
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "factory"})
# As far as the longest gap is looked for: a week and a day, in which every day of the week has been.
_GAP_SPAN: Final = timedelta(days=8)
_GAP_FIRES_MAX: Final = 2000
# Longer than any step of a clock: where the clock has gone back, the search for the last fire begins this far ahead.
_CLOCK_STEP_MAX: Final = timedelta(hours=3)


@lru_cache(maxsize=4096)
def cron_problem(cron: str) -> str:
    """What is wrong with a cron expression; empty when it is valid."""
    fields = cron.split() if len(cron) <= CRON_CHARS_MAX else []
    if len(fields) != 5 or not all(map(_FIELD.fullmatch, fields)) or not croniter.is_valid(cron):
        return f"{cron[:CRON_CHARS_MAX]!r} is no cron expression of five fields, such as 0 3 * * *"
    try:
        croniter(cron, datetime(2000, 1, 1)).get_next(datetime)  # noqa: DTZ001 - local times are naive here
    except CroniterBadDateError:
        return f"{cron!r} never comes round (a day that no month has)"
    return ""


@lru_cache(maxsize=4096)
def time_zone_problem(name: str) -> str:
    """What is wrong with the name of a time zone; empty when it is valid."""
    try:
        if name.lower() in _NO_ZONES:
            raise KeyError(name)
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return f"{name[:100]!r} is no IANA time zone, such as America/Bogota"
    return ""


def last_fire(cron: str, time_zone: ZoneInfo, now: datetime) -> tuple[str, datetime]:
    """The latest fire that is due: its local wall time as text, and its instant in UTC (at or before `now`).

    Args:
        cron: five fields.
        now: aware.
    """
    wall = now.astimezone(time_zone)
    # Only in the hours that come a second time do later wall times lie in the past.
    ahead = _CLOCK_STEP_MAX if wall.fold else timedelta(minutes=1)
    times = croniter(cron, wall.replace(tzinfo=None, fold=0) + ahead)
    while True:
        fire = times.get_prev(datetime)
        instant = _instant(fire, time_zone)
        if instant <= now:
            return fire_name(fire), instant


def next_fire(cron: str, time_zone: ZoneInfo, now: datetime) -> datetime:
    """The instant of the first fire after `now`, in UTC. Fires that have the name of a past one do not count."""
    wall = now.astimezone(time_zone)
    # After the clock went forward, wall times that it left out can still be to come.
    stepped = (now - _CLOCK_STEP_MAX).astimezone(time_zone).utcoffset() != wall.utcoffset()
    times = croniter(cron, wall.replace(tzinfo=None, fold=0) - (_CLOCK_STEP_MAX if stepped else timedelta(minutes=1)))
    while True:
        instant = _instant(times.get_next(datetime), time_zone)
        if instant > now:
            return instant


@lru_cache(maxsize=4096)
def shortest_period_seconds(cron: str) -> float:
    """The shortest time between two fires, of the next ones by the wall clock.

    Args:
        cron: a valid one.
    """
    gaps = islice(_gaps(cron, datetime(2000, 1, 1)), _FIRES_COMPARED)  # noqa: DTZ001 - local times are naive here
    return min((gap.total_seconds() for _fire, gap in gaps), default=math.inf)


def longest_gap_seconds(cron: str, now: datetime) -> float:
    """The longest time between two of the next fires, in local wall time: of the coming eight days, or of the next two fires.

    Args:
        cron: a valid one.
        now: where to begin.
    """
    begin, longest = now.replace(tzinfo=None), timedelta()
    for fire, gap in islice(_gaps(cron, begin), _GAP_FIRES_MAX):
        longest = max(longest, gap)
        if fire - begin > _GAP_SPAN:
            break
    return longest.total_seconds()


def _gaps(cron: str, begin: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """The second fire after a naive local time and each further one, with the time since the one before it."""
    times = croniter(cron, begin)
    before = times.get_next(datetime)
    # It gives up where the next fire is many years away.
    with suppress(CroniterBadDateError):
        while True:
            fire = times.get_next(datetime)
            yield fire, fire - before
            before = fire


def is_missed(instant: datetime, now: datetime, catch_up_seconds: float) -> bool:
    """Whether a fire is too late to happen any more. One that is found within its own minute is on time, not caught up."""
    return (now - instant).total_seconds() > max(catch_up_seconds, _ON_TIME_SECONDS)


def fire_name(fire: datetime) -> str:
    """The name of a fire: its local wall time."""
    return fire.strftime("%Y-%m-%d %H:%M")


def _instant(fire: datetime, time_zone: ZoneInfo) -> datetime:
    return fire.replace(tzinfo=time_zone, fold=0).astimezone(UTC)
