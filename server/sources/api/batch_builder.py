"""Gathers pages into a batch: each page is mapped when it comes, and its parsed items are let go of at once.

Mapping a page while it is fresh in the processor's cache, and holding texts rather than trees of small objects, makes
a batch take half of the time and a fraction of the memory that mapping it whole would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

import polars as pl

from server.sources.api.item_mapper import ItemMapper, rejects_of
from server.sources.api.items.json_page import Page
from server.sources.api.paging.page_iterator import WalkedPage
from server.sources.api.paging.position import PagingState
from server.sources.contract import Reject, SourceBatch
from server.sources.exact_json.json_values import to_text
from server.sources.redaction import masked, without_secrets

_PLAIN_RUNS: Final = re.compile(r"[A-Za-z0-9]+")
_ASCII_ESCAPED: Final = re.compile(r"\\u00[2-7]")


class PageGatherer:
    """The pages of one batch in the making.

    Args:
        secrets: what the source was sent so far and no row may hold; it is masked where an item says it back.
    """

    def __init__(self, mapper: ItemMapper, secrets: Callable[[], Collection[str]]) -> None:
        self._mapper = mapper
        self._secrets = secrets
        # Items in which something was masked.
        self.masked = 0
        self._columns: dict[str, list[str | None]] = {name: [] for name in mapper.columns}
        self._texts: list[str] = []
        self._numbers: list[int] = []
        self._rejects: list[Reject] = []
        self._after: PagingState | None = None
        self.size_bytes = 0

    @property
    def items(self) -> int:
        """Items so far, rejected ones included."""
        return len(self._numbers) + len(self._rejects)

    def add(self, walked: WalkedPage) -> None:
        """Take a page in."""
        page, first = self._without_secrets(walked.page), walked.first_number
        values, texts = page.values, page.texts
        numbers: Sequence[int] = range(first, first + len(values))
        if any(type(value) is not dict for value in values):
            refused = rejects_of(page, first)
            kept = [index for index, value in enumerate(values) if type(value) is dict]
            values, texts = [values[index] for index in kept], [texts[index] for index in kept]
            numbers = [first + index for index in kept]
            self._rejects.extend(refused.values())
        for name, column in self._mapper.texts(values, texts).items():
            self._columns[name].extend(column)
        self._texts.extend(texts)
        self._numbers.extend(numbers)
        self._after = walked.after
        self.size_bytes += walked.size_bytes

    def _without_secrets(self, page: Page) -> Page:
        secrets = self._secrets()
        if not secrets:
            return page
        # However a secret is spelled, JSON and URLs leave letters and digits as they are, unless somebody takes pains. So most
        # items are passed over by a search of their texts, and of the others the values tell.
        cores = {max(_PLAIN_RUNS.findall(secret), key=len, default="") for secret in secrets}
        likely = [
            index
            for index, text in enumerate(page.texts)
            if any(core in text for core in cores) or ("\\u00" in text and _ASCII_ESCAPED.search(text))
        ]
        if not likely:
            return page
        values, texts = list(page.values), list(page.texts)
        for index in likely:
            value = values[index]
            found = masked(value, secrets)
            # An item that was refused has no value, and is kept as it was read.
            text = without_secrets(texts[index], secrets) if value is None else to_text(found)
            if (value is None and text != texts[index]) or found != value:
                values[index], texts[index] = found, text
                self.masked += 1
        return replace(page, values=values, texts=texts)

    def batch(self, batch_no: int) -> SourceBatch:
        """The batch of all pages so far; its position is the page after them."""
        if self._after is None:
            raise AssertionError("a batch needs a page")
        record_nos = pl.Series("record_no", self._numbers, dtype=pl.UInt64)
        return SourceBatch(
            batch_no=batch_no,
            frame=pl.DataFrame(
                {name: pl.Series(name, column, dtype=pl.String) for name, column in self._columns.items()}
            ),
            lines=record_nos.alias("line"),
            record_nos=record_nos,
            byte_offsets=pl.Series("byte_offset", [], dtype=pl.UInt64),
            rejects=tuple(self._rejects),
            position=self._after.to_json(),
            raw_text=self._texts.__getitem__,
            bytes_done=self._after.bytes_read,
        )
