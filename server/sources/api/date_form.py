"""Dates by a declared form, such as `%d/%m/%Y %H:%M`: a closed part of the notation that many languages have.

A form names day, month and year once each, an hour, minute and second if it wants, and has a mark between any two of them. It
reads nothing else: no names of months, no years of two digits, no zones. Which of day and month comes first is never guessed:
`possible_forms` says of a text in how many ways it may be meant.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

# What stands for a part, its name among datetime's and its digits.
_PARTS: Final = {
    "%Y": ("year", "[0-9]{4}"),
    "%m": ("month", "[0-9]{1,2}"),
    "%d": ("day", "[0-9]{1,2}"),
    "%H": ("hour", "[0-9]{1,2}"),
    "%M": ("minute", "[0-9]{1,2}"),
    "%S": ("second", "[0-9]{1,2}"),
}
_NEEDED: Final = frozenset({"%Y", "%m", "%d"})
_TIMES: Final = ((), ("%H",), ("%H", "%M"), ("%H", "%M", "%S"))
_MARKS: Final = r"[-/.:, T]+"
_FORMS_KEPT_MAX: Final = 64
_WITH_YEAR_LAST: Final = re.compile(
    r"[0-9]{1,2}(?P<mark>[-/.])[0-9]{1,2}(?P=mark)[0-9]{4}(?P<time> [0-9]{1,2}:[0-9]{2}(?P<second>:[0-9]{2})?)?"
)


def checked_form(text: str) -> str:
    """A form.

    Raises:
        ValueError: it is none; the text is the end of a sentence.
    """
    parts = re.findall(r"%.", text)
    if not set(parts) >= _NEEDED or len(set(parts)) < len(parts) or set(parts) - set(_PARTS):
        raise ValueError("must name %d, %m and %Y once each, and of %H, %M and %S those that there are")
    if tuple(part for part in ("%H", "%M", "%S") if part in parts) not in _TIMES:
        raise ValueError("must name %H where it names %M, and both where it names %S")
    if not re.fullmatch(rf"%.(?:{_MARKS}%.)*", text):
        raise ValueError("must have - / . : , T or a space between any two parts, and nothing before or behind them")
    return text


def moment_of(text: str, form: str) -> datetime | None:
    """The moment that a text is, in UTC; None where it has another form or is no date of the calendar."""
    found = _pattern(form).fullmatch(text)
    try:
        return (
            datetime(**{name: int(digits) for name, digits in found.groupdict().items()}, tzinfo=UTC) if found else None
        )
    except ValueError:
        return None


def text_of_moment(moment: datetime, form: str) -> str:
    """A moment in a form, every part with all its digits."""
    return re.sub(
        r"%.", lambda match: str(getattr(moment, _PARTS[match[0]][0])).zfill(4 if match[0] == "%Y" else 2), form
    )


def possible_forms(text: str) -> dict[str, datetime]:
    """Forms with the year behind day and month that read a text, and the moment that it would be."""
    found = _WITH_YEAR_LAST.fullmatch(text.strip())
    if found is None:
        return {}
    time = "" if not found["time"] else " %H:%M:%S" if found["second"] else " %H:%M"
    forms = [f"{first}{found['mark']}{second}{found['mark']}%Y{time}" for first, second in (("%d", "%m"), ("%m", "%d"))]
    moments = {form: moment_of(text.strip(), form) for form in forms}
    return {form: moment for form, moment in moments.items() if moment is not None}


@lru_cache(maxsize=_FORMS_KEPT_MAX)
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"(%.)", form)
    return re.compile(
        "".join(f"(?P<{_PARTS[part][0]}>{_PARTS[part][1]})" if part in _PARTS else re.escape(part) for part in parts)
    )
