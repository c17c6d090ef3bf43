"""Decides, once per run, which source column fills which target column.

A plan that is returned can be executed: each required column has a source column, a constant or a default. Anything
else raises before a record is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from server.core.errors import InvalidRequestError
from server.core.number_format import NO_NUMBER_OPTIONS, NumberOptions
from server.core.reasons import Reason
from server.core.texts import listed, quoted
from server.pipeline import mapping_notices
from server.pipeline.names import AmbiguousNameError, find_column
from server.pipeline.plan import IdentityRule, MappingPlan
from server.targets.base import Target

_FIELD = "options.columnMapping"


def plan_mapping(
    target: Target,
    columns: Sequence[str],
    requested: Mapping[str, str],
    constants: Mapping[str, str],
    *,
    identity: IdentityRule | None = None,
    row_number_base: int = 1,
    numbers: NumberOptions = NO_NUMBER_OPTIONS,
    null_tokens: frozenset[str] = frozenset(),
    aliases: Mapping[str, Sequence[str]] | None = None,
    strip_text: bool = True,
    checked_json: frozenset[str] = frozenset(),
) -> MappingPlan:
    """Match what the request asks for with the columns that there are.

    Target columns that the request leaves out are filled from the source column of the same name, or of one of its
    aliases, in the order given. Names are compared by `names.find_column`. Source columns that nothing takes are kept
    as extras, where the target has a column for them that is not filled otherwise.

    Args:
        target: the table.
        columns: the source's column names, in order, each once.
        requested: target column -> source column, as the caller wrote them.
        constants: target column or target constant -> canonical text.
        identity: None decides by the rule of the contract; a given rule must fit the mapping.
        row_number_base: see `MappingPlan`.
        numbers: see `MappingPlan`.
        null_tokens: see `MappingPlan`.
        aliases: target column -> other names that it goes by in sources.
        strip_text: see `MappingPlan`.
        checked_json: see `MappingPlan`.

    Raises:
        InvalidRequestError: INVALID_MAPPING, when a name is unknown or ambiguous or a required column stays empty;
            INVALID_OPTION, when a constant is none of its column's choices.
        ValueError: a constant or an identity rule that no request can cause.
    """
    mapped = _requested_columns(target, columns, requested)
    other_names = _names_by_target(target, aliases or {})
    mapped |= _columns_of_same_name(target, columns, mapped, other_names)
    fixed = _checked_constants(target, constants)
    for column in target.columns:
        if column.name in mapped or column.name in fixed or not column.required:
            continue
        if column.default is None:
            repeated = mapping_notices.repeated_text((column.name, *other_names.get(column.name, ())), columns)
            _refuse(
                f"the required column {column.name} of {target.name} is mapped from no source column; "
                + (f"{repeated}, so set options.columnMapping.{column.name} to one of them" if repeated else "")
                + f"{'; ' if repeated else ''}the source has {listed(columns)}"
            )
        fixed[column.name] = column.default
    extra_columns = _extra_columns(target, columns, mapped, fixed)
    return MappingPlan(
        target=target,
        source_columns={column.name: mapped[column.name] for column in target.columns if column.name in mapped},
        extra_columns=extra_columns,
        constants=fixed,
        identity=_identity_rule(target, mapped, identity),
        row_number_base=row_number_base,
        numbers=numbers,
        null_tokens=null_tokens,
        strip_text=strip_text,
        checked_json=checked_json,
        notices=mapping_notices.notices_of(target, columns, mapped, fixed, are_kept=bool(extra_columns)),
    )


def _requested_columns(target: Target, columns: Sequence[str], requested: Mapping[str, str]) -> dict[str, str]:
    names = tuple(target.by_name)
    mapped: dict[str, str] = {}
    for wanted_target, wanted_source in requested.items():
        target_name = _find(wanted_target, names, f"column {quoted(wanted_target)} of {target.name}")
        if target_name is None:
            _refuse(
                f"{target.name} has no column {quoted(wanted_target)} that options.columnMapping could fill; "
                f"it has {', '.join(names)}"
            )
        if target_name in mapped:
            _refuse(f"the column {target_name} of {target.name} is mapped more than once")
        source_name = _find(wanted_source, columns, f"source column {quoted(wanted_source)}")
        if source_name is None:
            repeated = mapping_notices.repeated_text((wanted_source,), columns)
            _refuse(
                f"the source has no column {quoted(wanted_source)} to fill {target_name} from; "
                + (f"{repeated}, so set options.columnMapping.{target_name} to one of them; " if repeated else "")
                + f"it has {listed(columns)}"
            )
        mapped[target_name] = source_name
    return mapped


def _columns_of_same_name(
    target: Target, columns: Sequence[str], mapped: Mapping[str, str], aliases: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    found: dict[str, str] = {}
    taken = set(mapped.values())
    open_names = [column.name for column in target.columns if column.name not in mapped]
    for name in open_names:
        source_name = _find(name, columns, f"source column {name}")
        if source_name is not None:
            found[name] = source_name
    # An alias takes only what no column claimed by its own name, so that it cannot use a source column twice.
    taken |= set(found.values())
    for name in open_names:
        for alias in aliases.get(name, ()):
            if name in found:
                break
            source_name = _find(alias, columns, f"source column {quoted(alias)}")
            if source_name is not None and source_name not in taken:
                found[name] = source_name
                taken.add(source_name)
    return found


def _names_by_target(target: Target, aliases: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The other names of target columns, by the columns' own names however the request writes those."""
    found: dict[str, tuple[str, ...]] = {}
    for wanted, names in aliases.items():
        what = f"column {quoted(wanted)} of {target.name}"
        name = _find(wanted, tuple(target.by_name), what, "options.columnAliases")
        if name is not None:
            found[name] = (*found.get(name, ()), *names)
    return found


def _checked_constants(target: Target, constants: Mapping[str, str]) -> dict[str, str]:
    fixed = dict(constants)
    by_name = target.by_name
    for name, value in constants.items():
        if name in target.constants:
            continue
        if name not in by_name:
            raise ValueError(f"{target.name} has no column {name} to hold a constant")
        choices = by_name[name].choices
        if choices and value.strip().lower() not in choices:
            raise InvalidRequestError(Reason.INVALID_OPTION, f"{name} is none of {', '.join(choices)}", field="options")
        if choices:
            fixed[name] = value.strip().lower()
    return fixed


def _extra_columns(
    target: Target, columns: Sequence[str], mapped: Mapping[str, str], fixed: Mapping[str, str]
) -> tuple[str, ...]:
    if target.extras_column is None or target.extras_column in mapped or target.extras_column in fixed:
        return ()
    used = set(mapped.values())
    return tuple(column for column in columns if column not in used)


def _identity_rule(target: Target, mapped: Mapping[str, str], asked: IdentityRule | None) -> IdentityRule:
    if target.identity_column is None:
        fitting: tuple[IdentityRule, ...] = ("natural",)
    elif target.identity_column in mapped:
        fitting = ("mapped",)
    else:
        fitting = ("content", "row_number")
    if asked is not None and asked not in fitting:
        raise ValueError(f"identity {asked} does not fit this mapping of {target.name}; {fitting[0]} does")
    return asked or fitting[0]


def _find(name: str, columns: Sequence[str], what: str, field: str = _FIELD) -> str | None:
    try:
        return find_column(name, columns)
    except AmbiguousNameError as error:
        raise InvalidRequestError(
            Reason.INVALID_MAPPING, f"{what} is ambiguous: it fits {listed(error.matches)}", field=field
        ) from error


def _refuse(message: str) -> NoReturn:
    raise InvalidRequestError(Reason.INVALID_MAPPING, message, field=_FIELD)
