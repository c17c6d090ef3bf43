"""The csv source type as the registry knows it: options in, reader out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.core.secret_box import SecretPlaces
from server.sources.contract import Reject, SourceContext, SourceReader, WatermarkRule
from server.sources.csv.advice import advise, header_readings
from server.sources.csv.options import CsvOptions, parse_options
from server.sources.csv.preview import preview_csv
from server.sources.csv.reader import open_csv
from server.sources.csv.variants import variants
from server.sources.header_advice import Advice, Changes, Fits, Variants
from server.sources.source_type import MappingRequest, Reveal, SourcePreview, SourceType
from server.sources.storage.files import check_place
from server.sources.storage.folders import FolderLimits
from server.sources.storage.identity import file_identity, file_places


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A CSV file, or several, with checked options."""

    identifier: str
    options: CsvOptions

    @classmethod
    def load(cls, identifier: str, options: Mapping[str, Any]) -> CsvSource:
        """Check the options.

        Raises:
            InvalidRequestError: INVALID_OPTION.
        """
        return cls(identifier, parse_options(options))

    @property
    def mapping(self) -> MappingRequest:
        """What the options say about the target."""
        options = self.options
        return MappingRequest(
            target=options.target_table,
            columns=options.column_mapping,
            constants=options.constants,
            aliases=options.column_aliases,
            numbers=options.numbers,
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

    async def preview(self, context: SourceContext, reveal: Reveal, rows_max: int) -> SourcePreview:
        """Read its header and first block."""
        return await preview_csv(self.identifier, self.options, context, rows_max)

    async def advice(self, context: SourceContext, fits: Fits) -> Advice | None:
        """Try other delimiters, lines, quotes and encodings on its beginning."""
        return await asyncio.to_thread(advise, self.identifier, self.options, context.settings, fits)

    async def header_readings(self, context: SourceContext, fits: Fits) -> tuple[Changes, ...]:
        """The same, and every reading that fits."""
        return await asyncio.to_thread(header_readings, self.identifier, self.options, context.settings, fits)

    async def variants(self, context: SourceContext, asked: Changes, rejects: Sequence[Reject]) -> tuple[Variants, ...]:
        """Other encodings, and other rules for quotes."""
        return await asyncio.to_thread(variants, self.identifier, self.options, context.settings, asked, rejects)

    async def check(self, context: SourceContext) -> tuple[str, ...] | None:
        """Open it, read its header and let go again."""
        reader = await open_csv(self.identifier, self.options, context)
        try:
            return reader.info.columns
        finally:
            await reader.close()


def _load(identifier: str, options: Mapping[str, Any], _from_caller: bool) -> CsvSource:
    return CsvSource.load(identifier, options)


CSV: Final = SourceType(
    name="csv",
    load=_load,
    secret_places=SecretPlaces,
    identity=lambda identifier, settings: file_identity(identifier, settings.data_root_paths),
    secret_origin=lambda _identifier: "",
    places=lambda identifier, settings: file_places(identifier, settings.data_root_paths),
    check_identifier=lambda identifier, settings: check_place(
        identifier, settings.data_root_paths, FolderLimits.from_settings(settings)
    ),
)
