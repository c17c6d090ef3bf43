"""The csv source type as the registry knows it: options in, reader out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.sources.base import SourceContext, SourceReader, WatermarkRule
from server.sources.csv.head import csv_head
from server.sources.csv.options import CsvOptions, parse_options
from server.sources.csv.reader import open_csv
from server.sources.head import SourceHead
from server.sources.registry import MappingRequest, Reveal


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A CSV file, or several, with checked options."""

    identifier: str
    options: CsvOptions

    @classmethod
    def load(cls, identifier: str, options: Mapping[str, Any]) -> CsvSource:
        """Check the options.

        Raises:
            Invalid: INVALID_OPTION.
        """
        return cls(identifier, parse_options(options))

    @property
    def mapping(self) -> MappingRequest:
        """What the options say about the target."""
        options = self.options
        is_content = options.target_table == "content_index"
        return MappingRequest(
            target=options.target_table,
            columns=options.column_mapping,
            constants={"content_type": options.content_type} if is_content else {},
            aliases=options.column_aliases,
            decimal_comma=options.decimal_comma,
            null_tokens=frozenset(options.null_tokens),
            strip_text=options.strip_text,
            write=options,
        )

    @property
    def watermark(self) -> WatermarkRule | None:
        """None: a file is read whole, or not at all when it is unchanged."""
        return None

    async def open(self, context: SourceContext, reveal: Reveal) -> SourceReader:
        """Open the file; a CSV file has no secrets to reveal."""
        return await open_csv(self.identifier, self.options, context)

    async def head(self, context: SourceContext, reveal: Reveal, rows_max: int) -> SourceHead:
        """Read its header and first block."""
        return await csv_head(self.identifier, self.options, context, rows_max)

    async def check(self, context: SourceContext) -> tuple[str, ...] | None:
        """Open it, read its header and let go again."""
        reader = await open_csv(self.identifier, self.options, context)
        try:
            return reader.info.columns
        finally:
            await reader.close()
