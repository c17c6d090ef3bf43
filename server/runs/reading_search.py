"""Looks for other readings of a source that does not fit its options, or not wholly.

First the header: another delimiter, line, sheet, encoding or names in another language bring the wanted columns. Then the
records: another encoding, other quotes, another decimal mark load more of them. Each reading is read in full by `Looker`, so
that none is proposed that fails. Where the source does not settle which of several is meant, all stand side by side.

The work is bounded by a number of looks at the source's beginning; what was found until then is answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.core.errors import SyncError
from server.execution.advised_plan import fits_of, proposed_mapping
from server.runs.look import Look, Looker
from server.runs.number_doubt import NUMBER_OPTION, number_doubt, number_variants
from server.runs.quote_doubt import cut_names, kept_quotes
from server.sources.header_advice import RereadableSource, Variants

READINGS_SHOWN_MAX: Final = 4
# Kinds of other readings of the records: encoding, quotes, numbers.
_STEPS_MAX: Final = 3
_MAPPING: Final = "columnMapping"


@dataclass(slots=True)
class Search:
    """The readings of one source.

    Args:
        looker: looks at it.
        asked: the options of the request.
        looks_max: how often its beginning may be read.
    """

    looker: Looker
    asked: Mapping[str, Any]
    looks_max: int
    found: list[Look] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    # The source with the likeliest header, also where no record of it loads.
    likeliest: Look | None = None
    # For each reading, what it does to values that is no proposal; empty for nothing.
    damages: list[str] = field(default_factory=list)
    looks_done: int = 0
    is_cut: bool = False

    async def run(self, now: Look | None) -> None:
        """Find readings; what was found when it is cancelled stays.

        Args:
            now: the source with the options of the request; None where it is refused with them.
        """
        for base in await self._bases(now):
            looks, doubts = await self._improved(base)
            self.likeliest = self.likeliest or looks[0]
            # The first header that fits is the likeliest; what is open of the records of others decides nothing.
            self.doubts = self.doubts if self.found else doubts
            for look in looks:
                if look is now or not look.loaded_count or any(_are_same(look, one) for one in self.found):
                    continue
                if len(self.found) == READINGS_SHOWN_MAX:
                    return
                self.found.append(look)
                self.damages.append(kept_quotes(look, base, self.asked) or cut_names(look))

    async def _bases(self, now: Look | None) -> list[Look]:
        """The source with each header that fits."""
        if now is not None:
            if not isinstance(now.source, RereadableSource):
                return []
            more = proposed_mapping(now.source.mapping, now.preview.columns)
            asked = {**now.options, _MAPPING: {**now.source.mapping.columns, **more}}
            mapped = await self._look(asked) if more else None
            return [now if mapped is None else mapped]
        try:
            source = self.looker.source_of(self.asked)
            if not isinstance(source, RereadableSource):
                return []
            fits = fits_of(source.mapping, self.looker.source_type, self.looker.source_identifier)
            every = await source.header_readings(self.looker.context, fits)
        except SyncError:
            return []
        looks = [await self._look({**self.asked, **changes}) for changes in every]
        return [look for look in looks if look is not None]

    async def _improved(self, base: Look) -> tuple[list[Look], list[str]]:
        """The same with whatever loads more of its records: several where it is open which is meant, with what is open."""
        looks, doubts, done = [base], list[str](), set[str]()
        for _ in range(_STEPS_MAX):
            step = next((one for one in await self._variants(looks[0]) if one.option not in done), None)
            if step is None:
                break
            done.add(step.option)
            looks, doubt = await self._applied(looks, step)
            doubts += [doubt] if doubt else []
        if len(looks) == 1:
            looks = [await self._minimal(looks[0], base)]
        if NUMBER_OPTION in done and (doubt := number_doubt(looks[0])):
            doubts.append(doubt)
        return looks, doubts

    async def _variants(self, look: Look) -> Sequence[Variants]:
        if not isinstance(look.source, RereadableSource):
            return ()
        try:
            found = await look.source.variants(self.looker.context, self.asked, look.rejects)
        except SyncError:
            found = ()
        return (*found, *number_variants(look))

    async def _applied(self, looks: list[Look], step: Variants) -> tuple[list[Look], str]:
        """The readings with what a step brings, and what is open among them; the same ones where it brings nothing."""
        first = looks[0]
        tried = [(changes, await self._look({**first.options, **changes})) for changes in step.changes]
        loaded = [(changes, look) for changes, look in tried if look is not None and look.loaded_count]
        most = max((look.loaded_count for _, look in loaded), default=0)
        if not loaded or most < first.loaded_count + (not step.has_other_values):
            return looks, ""
        best = _different([(changes, look) for changes, look in loaded if look.loaded_count == most])
        if step.doubt and (step.is_guess or len(best) > 1):
            return [look for _, look in best], step.doubt
        changes, look = best[0]
        rest = [await self._look({**other.options, **changes}) or other for other in looks[1:]]
        return [look, *rest], ""

    async def _minimal(self, look: Look, base: Look) -> Look:
        """The same rows by no more settings than they need: of one step alone, each reads more rows."""
        names = _set_since(look, base)
        for name in names if len(names) > 1 else ():
            fewer = await self._look(_without(look.options, base.options, *name))
            if fewer is not None and fewer.loaded_count == look.loaded_count and _are_same(fewer, look):
                look = fewer
        return look

    async def _look(self, options: Mapping[str, Any]) -> Look | None:
        if self.looks_done >= self.looks_max:
            self.is_cut = True
            return None
        self.looks_done += 1
        return await self.looker.tried(options)


def without_waits(looker: Looker) -> Looker:
    """The looker for other readings of a source that has just been looked at: nobody was writing to it then."""
    settings = looker.context.settings.model_copy(update={"csv_settle_seconds": 0})
    return replace(looker, context=replace(looker.context, settings=settings))


def row_marks(look: Look) -> dict[int, int]:
    """Line of each row -> a digest of its values."""
    if look.prepared is None:
        return {}
    rows = look.prepared.rows
    return dict(zip(rows["line"].to_list(), rows["row_hash"].to_list(), strict=True))


def _set_since(look: Look, base: Look) -> list[tuple[str, ...]]:
    """The settings that a reading adds, those within an option one by one."""
    names: list[tuple[str, ...]] = []
    for name, value in look.options.items():
        before = base.options.get(name)
        if value != before and isinstance(value, Mapping):
            names += [(name, inner) for inner, one in value.items() if one != (before or {}).get(inner)]
        elif value != before:
            names.append((name,))
    return names


def _without(options: Mapping[str, Any], base: Mapping[str, Any], name: str, inner: str = "") -> Mapping[str, Any]:
    """Options with one setting as it was before."""
    if not inner:
        kept = {key: value for key, value in options.items() if key != name}
        return {**kept, **({name: base[name]} if name in base else {})}
    within = _without(options[name], base.get(name) or {}, inner)
    if within or base.get(name):
        return {**options, name: within}
    return {key: value for key, value in options.items() if key != name}


def _different(tried: list[tuple[Mapping[str, Any], Look]]) -> list[tuple[Mapping[str, Any], Look]]:
    kept: list[tuple[Mapping[str, Any], Look]] = []
    for changes, look in tried:
        if not any(_are_same(look, one) for _, one in kept):
            kept.append((changes, look))
    return kept


def _are_same(one: Look, other: Look) -> bool:
    return row_marks(one) == row_marks(other)
