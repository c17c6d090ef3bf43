"""Incremental reading: only items that changed since the last run, by a field that grows with each change.

The highest value of `cursorField` that a run has seen is its mark. It travels in the checkpoint of each batch, and the
service keeps it (sync_watermarks) in the transaction that ends the run as completed, never before: the pages of most
APIs are in no order by change, so a mark of half a run would leave out the changes on the other half; and where items may
be missing although the walk came to an end (verdict.py), the mark stays. The next run
asks for what changed since the mark less the lookback, which covers clocks that differ and changes that became visible
late; what it reads twice is unchanged and costs no write. Values further in the future than a day are left out of the
mark: one of them would make every later run read nothing.

A row that is not read gets no fresh last_synced_at, and rows without one for 90 days are deleted by the bot: so each
`fullAfterDays` a run reads everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.sources.api.date_form import checked_form, moment_of, possible_forms, text_of_moment
from server.sources.api.items.paths import extract_of
from server.sources.api.option_base import OptionModel, ParameterName, Path

_FUTURE: Final = timedelta(days=1)
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_MARK_CHARS_MAX: Final = 100
_OF_TIME: Final = ("timestamp", "date")
_VALUE: Final = "{value}"
# Seconds or milliseconds since 1970, of years that sources have: a date without separators has 8 or 14 digits.
_UNIX: Final = re.compile(r"[0-9]{10}(?:[0-9]{3})?(?:\.[0-9]{1,9})?")
_SPACED: Final = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.(?P<fraction>\d{1,9}))?(?P<zone> ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
)

DateForm = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(checked_form)]
MarkFormat = Literal["timestamp", "date", "unix", "unixMillis", "number"]


class Incremental(OptionModel):
    """How changed items are asked for."""

    cursor_field: Path
    param: ParameterName
    format: MarkFormat = "timestamp"
    lookback_seconds: int = Field(300, ge=0, le=31_536_000)
    initial: str | None = Field(None, min_length=1, max_length=_MARK_CHARS_MAX)
    full_after_days: int = Field(30, ge=1, le=80)
    template: str | None = Field(None, min_length=1, max_length=500)
    date_format: DateForm | None = None

    def asked(self, value: str) -> str:
        """What is sent for a value."""
        return value if self.template is None else self.template.replace(_VALUE, value)

    @property
    def described(self) -> str:
        """What a value is, in words."""
        return self.format if self.date_format is None else f"date of the form {self.date_format}"

    @model_validator(mode="before")
    @classmethod
    def _numbers_have_no_lookback(cls, values: Any) -> Any:
        # A default that does not fit another option's value is no error of the caller's.
        if isinstance(values, dict) and values.get("format") == "number":
            return {"lookbackSeconds": 0, **values}
        return values

    @model_validator(mode="after")
    def _fits_its_format(self) -> Self:
        if self.format == "number" and self.lookback_seconds:
            raise ValueError("lookbackSeconds must be 0 for numbers, which are no times")
        if self.date_format is not None and self.format not in _OF_TIME:
            raise ValueError(f"dateFormat says nothing about the format {self.format}: leave out one of the two")
        if self.initial is not None and rank_of(self.initial, self.format, self.date_format) is None:
            raise ValueError(f"initial is no {self.described}{_possible(self.initial, 'it', self)}")
        if self.template is not None and _VALUE not in self.template:
            raise ValueError(f"template has no {_VALUE}, the place of the value")
        return self


@dataclass(frozen=True, slots=True)
class SeenWatermark:
    """The highest value seen.

    Args:
        value: as the source wrote it; empty for none yet.
        rank: a text whose order is that of the values.
    """

    value: str = ""
    rank: str = ""


class WatermarkTracker:
    """Takes marks from pages.

    Args:
        options: how.
        now: aware; what lies too far after it is left out.
    """

    def __init__(self, options: Incremental, now: datetime) -> None:
        self._options = options
        self._extract = extract_of(options.cursor_field)
        latest = now + _FUTURE
        seconds = int(latest.timestamp())
        number = {"unix": seconds, "unixMillis": seconds * 1000}.get(options.format)
        self._rank_max = "" if options.format == "number" else _ranked(latest) if number is None else f"{number:020d}"
        self.notices: dict[str, None] = {}

    def after(self, mark: SeenWatermark, items: Iterable[Any], page_no: int) -> SeenWatermark:
        """The mark after a page.

        Args:
            items: parsed; what is no object counts for nothing.

        Raises:
            FatalError: INVALID_MAPPING, none of the items has a value there.
        """
        found, missing, missed = 0, 0, ""
        for item in items:
            if not isinstance(item, dict):
                continue
            text = self._extract(item) or ""
            rank = rank_of(text, self._options.format, self._options.date_format)
            if rank is None:
                missing += 1
                missed = missed or text
                continue
            found += 1
            if self._rank_max and rank > self._rank_max:
                self._notice("have a time in the future, which says nothing about what changed")
            elif rank > mark.rank:
                mark = SeenWatermark(text, rank)
        if missing and not found:
            raise FatalError(
                Reason.INVALID_MAPPING,
                f"no item of page {page_no} has a {self._options.described} at options.incremental.cursorField"
                f"{_possible(missed, 'the first of them', self._options)}",
                category=Category.VALIDATION,
            )
        if missing:
            self._notice(
                f"have no {self._options.described} at the cursor field; later changes of theirs may not be seen"
                f"{_possible(missed, 'the first of them', self._options)}"
            )
        return mark

    def _notice(self, what: str) -> None:
        self.notices[f"incremental: some items {what}"] = None


def first_value(options: Incremental, stored: str | None) -> str:
    """The value that a run asks for; empty when it reads everything.

    Args:
        stored: the mark of the runs before it, as the source wrote it; None when there is none, or a full run is due.
    """
    if stored is None:
        return options.initial or ""
    lookback = timedelta(seconds=options.lookback_seconds)
    if options.format in ("unix", "unixMillis", "number"):
        seconds = options.lookback_seconds * (1000 if options.format == "unixMillis" else 1)
        return str(max(0, int(stored.partition(".")[0]) - seconds))
    moment = _moment(stored, options.date_format)
    if moment is None:
        return ""
    moment -= lookback
    if options.date_format is not None:
        return text_of_moment(moment, options.date_format)
    return moment.date().isoformat() if options.format == "date" else _spelled(moment, stored)


def _spelled(moment: datetime, like: str) -> str:
    """A moment as the source spells its own."""
    if _UNIX.fullmatch(like):
        whole = like.partition(".")[0]
        return str(int(moment.timestamp() * (1000 if len(whole) > 10 else 1)))
    if like[:1].isalpha():
        return format_datetime(moment, usegmt=True)
    if spaced := _SPACED.fullmatch(like):
        text = f"{moment.replace(tzinfo=None):%Y-%m-%d %H:%M:%S.%f}"[: 20 + len(spaced["fraction"] or "")].rstrip(".")
        zone = spaced["zone"] or ""
        return f"{text}{zone if zone.strip() in ('', 'Z', 'UTC') else zone[: zone.index(zone.strip())] + '+00:00'}"
    return moment.isoformat().replace("+00:00", "Z")


def rank_of(text: str, kind: MarkFormat, date_format: str | None = None) -> str | None:
    """A text whose order is that of the values; None for what is no such value."""
    if len(text) > _MARK_CHARS_MAX:
        return None
    if kind in _OF_TIME:
        moment = _moment(text, date_format)
        return None if moment is None else _ranked(moment)
    whole, _, fraction = text.partition(".")
    if not _WHOLE.fullmatch(whole) or (fraction and (kind == "number" or not fraction.isdecimal())):
        return None
    return f"{int(whole):020d}"


def _possible(text: str, what: str, options: Incremental) -> str:
    """The forms by which a text would be a date, and which one, as the rest of a sentence; empty for none."""
    forms = possible_forms(text) if options.format in _OF_TIME else {}
    ways = [f"to {form} to read {what} as {moment.date().isoformat()}" for form, moment in forms.items()]
    return f"; set options.incremental.dateFormat {', or '.join(ways)}" if ways else ""


def _moment(text: str, date_format: str | None) -> datetime | None:
    if date_format is not None:
        return moment_of(text, date_format)
    try:
        if _UNIX.fullmatch(text):
            whole, _, fraction = text.partition(".")
            seconds = int(whole) / (1000 if len(whole) > 10 else 1)
            return datetime.fromtimestamp(seconds + float(f"0.{fraction or 0}"), UTC)
        moment = _date(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        if text.endswith(" UTC") and text[:1].isdecimal():
            return datetime.fromisoformat(text.removesuffix(" UTC"))
        # RFC 1123, as HTTP and some databases write it; a text that begins otherwise could be taken for a time of day.
        if not text[:3].isalpha():
            raise
        return parsedate_to_datetime(text)


def _ranked(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26)
