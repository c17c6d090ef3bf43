"""Which options would bring the columns that a mapping wants, for formats whose columns need no delimiter: a sheet, a row of the header, names.

A format that can be read in more than one way says how (`header_candidates`); each is told by its columns alone, and what is
advised is read in full by whoever follows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from server.core.config import Settings
from server.core.errors import InvalidRequestError
from server.sources.csv import advice_text
from server.sources.csv.file_format import OpenStream, begin_of, header_candidates_of
from server.sources.csv.options import CsvOptions
from server.sources.header_advice import READINGS_MAX, Advice, Fit, Fits


@dataclass(frozen=True, slots=True)
class TableAdviser:
    """Looks for readings of one file that a mapping fits.

    Args:
        source: the file.
        format: what it is.
        name: its name.
        options: how it is read now.
        settings: limits.
    """

    source: OpenStream
    format: str
    name: str
    options: CsvOptions
    settings: Settings

    def advice(self, fits: Fits) -> Advice | None:
        """What to set so that the mapping fits; None when nothing that is tried does."""
        found = next(self._found(fits), None)
        if found is None:
            return None
        changes, fit = found
        return advice_text.told_of_table(self.name, changes, self._needed(changes), fit)

    def readings(self, fits: Fits) -> Iterator[Mapping[str, Any]]:
        """What to set for each reading that the mapping fits, at most READINGS_MAX."""
        for count, (changes, fit) in enumerate(self._found(fits)):
            if count == READINGS_MAX:
                return
            yield {**self._needed(changes), **({"columnMapping": dict(fit.mapping)} if fit.mapping else {})}

    def _found(self, fits: Fits) -> Iterator[tuple[Mapping[str, Any], Fit]]:
        proposals: list[tuple[Mapping[str, Any], Fit]] = []
        is_direct = False
        for changes, columns in self._candidates():
            fit = fits(columns)
            if fit is None:
                continue
            # The table that is read anyway comes before others, whatever their names are.
            if not fit.mapping or not changes:
                is_direct = True
                yield changes, fit
            # A single word of a row may mean a column in another language: that is no header.
            elif len(fit.names) > 1:
                proposals.append((changes, fit))
        if not is_direct:
            yield from sorted(proposals, key=lambda one: -len(one[1].names))

    def _candidates(self) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
        now: tuple[str, ...] | None = None
        # Such as a title in the place of the header.
        with contextlib.suppress(InvalidRequestError):
            now = begin_of(self.format)(self.source, self.options, self.settings).beginning.columns
        if now is not None:
            yield {}, now
        other = header_candidates_of(self.format)
        if other is not None:
            for changes, columns in other(self.source, self.options, self.settings):
                if self._needed(changes):
                    yield changes, columns

    def _needed(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of the changes that are not as the options have it."""
        options = self.options
        now = {"sheet": options.sheet, "preambleLines": options.preamble_lines, "hasHeader": options.has_header}
        return {name: value for name, value in changes.items() if now.get(name) != value}
