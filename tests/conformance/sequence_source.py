"""A source type that is not the service's own: rows that count from 0, `sequence` with the number of rows as identifier.

It shows how little a source type needs, and is installed beside the real program by tests (docs/extending.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from server.core.config import Settings
from server.core.errors import InvalidRequestError, RetryableError
from server.core.reasons import Category, Reason
from server.core.secret_box import SecretPlaces
from server.sources.contract import Reject, SourceBatch, SourceContext, SourceInfo, WatermarkRule
from server.sources.source_type import MappingRequest, Reveal, SourcePreview, SourceType
from server.sources.write_options import WriteOptions


class SequenceOptions(WriteOptions):
    """What each row holds.

    Args:
        columns: source column to its text, in which `{n}` stands for the row's number.
        reject_every: every so manieth row is rejected; 0 for none.
        break_at: the number of the row at which the source breaks off; None for never.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)

    columns: dict[str, str] = Field(min_length=1, max_length=64)
    reject_every: int = Field(0, ge=0)
    break_at: int | None = Field(None, ge=0)


@dataclass(frozen=True, slots=True)
class Sequence:
    """So many rows; it is its own reader, for it holds nothing open."""

    count: int
    options: SequenceOptions
    batch_rows: int = 0

    @property
    def mapping(self) -> MappingRequest:
        """Source columns are called like those of the target."""
        options = self.options
        return MappingRequest(options.target_table, columns={}, constants=options.constants, write=options)

    @property
    def watermark(self) -> WatermarkRule | None:
        """None: it is always read whole."""
        return None

    @property
    def info(self) -> SourceInfo:
        """The columns; what they hold is known without reading."""
        content = f"{self.count} {self.options.model_dump_json()}"
        return SourceInfo(tuple(self.options.columns), hashlib.blake2b(content.encode(), digest_size=16).hexdigest())

    async def open(self, context: SourceContext, reveal: Reveal) -> Sequence:
        """Nothing to open, and no secret to reveal."""
        return Sequence(self.count, self.options, context.settings.batch_rows_max)

    async def check(self, context: SourceContext) -> tuple[str, ...] | None:
        """The columns."""
        return self.info.columns

    async def preview(self, context: SourceContext, reveal: Reveal, rows_max: int) -> SourcePreview:
        """The first batch."""
        reader = await self.open(context, reveal)
        batch = await anext(reader.batches(None, 1), None)
        columns = self.info.columns
        samples = () if batch is None else tuple(batch.frame.head(rows_max).to_dicts())
        is_whole = batch is None or batch.position["row"] == self.count
        return SourcePreview(columns, columns, samples, batch, is_whole)

    async def batches(self, after: Mapping[str, Any] | None, first_batch_no: int) -> AsyncGenerator[SourceBatch, None]:
        """Yield the rows after a position."""
        first, batch_no = int(after["row"]) if after else 0, first_batch_no
        while first < self.count:
            last = min(first + self.batch_rows, self.count)
            if self.options.break_at is not None and self.options.break_at < last:
                raise RetryableError(
                    Reason.SOURCE_UNAVAILABLE, f"the sequence broke off at row {self.options.break_at}"
                )
            yield self._batch(first, last, batch_no)
            first, batch_no = last, batch_no + 1

    def _batch(self, first: int, last: int, batch_no: int) -> SourceBatch:
        every = self.options.reject_every
        bad = [n for n in range(first, last) if every and n % every == every - 1]
        good = [n for n in range(first, last) if n not in set(bad)]
        columns = self.options.columns
        frame = pl.DataFrame(
            {name: [text.replace("{n}", str(n)) for n in good] for name, text in columns.items()},
            schema=dict.fromkeys(columns, pl.String),
        )
        numbers = pl.Series(values=[n + 1 for n in good], dtype=pl.UInt64)
        rejects = tuple(
            Reject("bad_number", Category.PARSING, f"row {n} is not wanted", n + 1, None, None, f"row {n}") for n in bad
        )
        return SourceBatch(
            batch_no=batch_no,
            frame=frame,
            lines=numbers,
            record_nos=numbers,
            byte_offsets=pl.Series(values=[], dtype=pl.UInt64),
            rejects=rejects,
            position={"row": last},
            raw_text=lambda index: f"row {good[index]}",
        )

    async def content_digest(self) -> str:
        """The same for the same rows."""
        return self.info.fingerprint

    def notices(self) -> tuple[str, ...]:
        """None."""
        return ()

    def doubts(self) -> tuple[str, ...]:
        """None."""
        return ()

    def came_in_parts(self) -> bool:
        """No."""
        return False

    async def close(self) -> None:
        """Nothing to let go of."""


def load(identifier: str, document: Mapping[str, Any], _from_caller: bool) -> Sequence:
    """Check the identifier and the options."""
    if not (identifier.isascii() and identifier.isdigit()):
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "sourceIdentifier must be a number of rows", field="sourceIdentifier"
        )
    given = {key: value for key, value in document.items() if value is not None}
    try:
        return Sequence(int(identifier), SequenceOptions.model_validate(given))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(["options", *map(str, first["loc"])])
        raise InvalidRequestError(Reason.INVALID_OPTION, f"{place}: {first['msg']}", field=place) from None


def identity(identifier: str, _settings: Settings) -> str:
    """Leading zeros mean nothing."""
    return identifier.lstrip("0") or "0"


SEQUENCE: Final = SourceType(
    name="sequence", load=load, secret_places=SecretPlaces, identity=identity, secret_origin=lambda _identifier: ""
)
