"""A run's mapping, or a refusal that says what would fit: another reading of the source, or names in another language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.core.texts import folded
from server.execution.planning import plan_for
from server.pipeline.plan import MappingPlan
from server.sources.contract import SourceContext
from server.sources.header_advice import AdvisingSource, Fit, Fits
from server.sources.source_type import MappingRequest, Source
from server.targets.other_names import OTHER_NAMES
from server.targets.registry import find_target


async def advised_plan(
    source: Source,
    columns: tuple[str, ...],
    context: SourceContext,
    *,
    source_type: str,
    source_identifier: str,
    row_number_base: int | None = None,
) -> MappingPlan:
    """The mapping of a run; what is said when it cannot be made is the same for a test, a request and a run.

    Args:
        source: asked what else its columns could be, if it can tell.
        columns: its columns as it is read now.
        context: what it is opened with.
        source_type, source_identifier, row_number_base: see `plan_for`.

    Raises:
        InvalidRequestError: INVALID_MAPPING, or INVALID_OPTION where another option would bring the wanted columns.
    """
    try:
        return plan_for(
            source.mapping,
            columns,
            source_type=source_type,
            source_identifier=source_identifier,
            row_number_base=row_number_base,
        )
    except InvalidRequestError as refusal:
        if refusal.reason != Reason.INVALID_MAPPING or not isinstance(source, AdvisingSource):
            raise
        advice = await source.advice(context, fits_of(source.mapping, source_type, source_identifier))
        if advice is None:
            raise
        text = f"{refusal.message}; {advice.text}" if advice.is_addition else advice.text
        raise InvalidRequestError(advice.reason, text, field=advice.field) from refusal


def fits_of(request: MappingRequest, source_type: str, source_identifier: str) -> Fits:
    """Tells of columns whether the mapping can be made of them, as it is or with names in another language."""
    wanted = _names_of_required(request)

    def fits(columns: Sequence[str]) -> Fit | None:
        # Nearly all of the lines that are tried are no header: what is known of names tells most of them at little cost.
        present = {form(column) for column in columns for form in (folded, _bare)}
        if any(names.isdisjoint(present) for names in wanted):
            return None
        for proposed in ({}, proposed_mapping(request, columns)):
            asked = replace(request, columns={**request.columns, **proposed})
            try:
                plan = plan_for(asked, tuple(columns), source_type=source_type, source_identifier=source_identifier)
            except InvalidRequestError:
                continue
            mapping = asked.columns if proposed else {}
            return Fit(tuple(plan.source_columns.values()), mapping)
        return None

    return fits


def _names_of_required(request: MappingRequest) -> list[frozenset[str]]:
    """For each required column of the target the names, as they are compared, of which the source must have one."""
    target = find_target(request.target)
    requested = {folded(name): (source,) for name, source in request.columns.items()}
    aliases: dict[str, tuple[str, ...]] = {}
    for name, names in request.aliases.items():
        aliases[folded(name)] = (*aliases.get(folded(name), ()), *names)
    others = OTHER_NAMES.get(target.name, {})
    every: list[frozenset[str]] = []
    for column in target.columns:
        if column.required and column.default is None and column.name not in request.constants:
            name = folded(column.name)
            usual = (column.name, *aliases.get(name, ()), *others.get(column.name, ()))
            every.append(frozenset(map(folded, requested.get(name, usual))))
    return every


def proposed_mapping(request: MappingRequest, columns: Sequence[str]) -> Mapping[str, str]:
    """Target columns that nothing fills -> source columns whose names mean the same in another language."""
    target = find_target(request.target)
    requested = {folded(name) for name in (*request.columns, *request.constants)}
    present = {folded(column) for column in columns}
    by_word: dict[str, str] = {}
    for column in columns:
        by_word.setdefault(_bare(column), column)
    own = {folded(column.name) for column in target.columns}
    proposed: dict[str, str] = {}
    for name, words in OTHER_NAMES.get(target.name, {}).items():
        if folded(name) in requested | present:
            continue
        for word in (folded(name), *(folded(word) for word in words if folded(word) not in own)):
            if word in by_word and by_word[word] not in proposed.values():
                proposed[name] = by_word[word]
                break
    return proposed


def _bare(name: str) -> str:
    """A name as it is compared, and without the signs around it, such as the `#` of a commented header."""
    return folded(name).strip("#*\"'«»“”:;.!-/%[]<>¿?¡ ")
