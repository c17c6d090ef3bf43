"""What a person should know of a mapping: columns that meet nothing, and names that stand more than once in a header.

A notice comes only where there is something to look at: a target column stays empty while the source has a column that
nothing takes. Nothing is guessed, so nothing is proposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from server.core.texts import listed, quoted
from server.pipeline.names import AmbiguousNameError, find_column
from server.sources.contract import ColumnNames
from server.targets.base import Target

# Every name is told as long as a person may read them; a table may have thousands.
_NAMES_MAX: Final = 200


def notices_of(
    target: Target, columns: Sequence[str], mapped: Mapping[str, str], fixed: Mapping[str, str], *, are_kept: bool
) -> tuple[str, ...]:
    """The notices of a mapping.

    Args:
        columns: the source's column names.
        mapped: target column -> source column.
        fixed: target columns that the request or a default fills.
        are_kept: whether source columns that nothing takes are kept as JSON.
    """
    taken = set(mapped.values())
    notices = [
        f"{text} and fills nothing; to use one of them, set options.columnMapping.(target column) to "
        f"{quoted(_called(columns, places)[0])}"
        for name, places in _repeated(columns).items()
        if taken.isdisjoint(_called(columns, places)) and (text := _stands(name, columns, places))
    ]
    left = [name for name in columns if name not in taken]
    empty = [
        column.name
        for column in target.columns
        if column.name not in mapped
        and column.name not in fixed
        and column.default is None
        and column.name not in (target.identity_column, target.extras_column)
    ]
    extras = target.extras_column
    is_lost = extras in mapped and not are_kept
    if left and empty:
        kept = f", and kept in {extras}" if are_kept else ", and kept nowhere" if is_lost else ""
        verb, them = ("is", "it") if len(empty) == 1 else ("are", "them")
        notices.append(
            f"{listed(empty, names_max=_NAMES_MAX)} of {target.name} {verb} filled from no column, while "
            f"{listed(left, names_max=_NAMES_MAX)} of the source "
            f"{'is' if len(left) == 1 else 'are'} taken by none{kept}; to fill {them}, set "
            f"options.columnMapping.{empty[0]}{' and so on' if len(empty) > 1 else ''} to the name of the source column"
        )
    elif left and is_lost and extras is not None:
        verb = "is" if len(left) == 1 else "are"
        notices.append(
            f"{listed(left, names_max=_NAMES_MAX)} of the source {verb} taken by no column of {target.name} and kept nowhere, "
            f"because {quoted(mapped[extras])} fills {extras}, which holds such columns otherwise"
        )
    return tuple(notices)


def repeated_text(names: Sequence[str], columns: Sequence[str]) -> str:
    """That one of the names stands more than once in the header, and how its columns are called; empty when none does."""
    repeated = _repeated(columns)
    for name in names:
        try:
            found = find_column(name, repeated)
        except AmbiguousNameError as error:
            found = error.matches[0]
        if found is not None:
            return _stands(found, columns, repeated[found])
    return ""


def _stands(name: str, columns: Sequence[str], places: tuple[int, ...]) -> str:
    times = "twice" if len(places) == 2 else f"{len(places)} times"
    return (
        f"{quoted(name)} stands {times} in the header (columns {', '.join(map(str, places[:-1]))} and {places[-1]}, "
        f"called {listed(_called(columns, places))})"
    )


def _called(columns: Sequence[str], places: tuple[int, ...]) -> list[str]:
    return [columns[place - 1] for place in places]


def _repeated(columns: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    return columns.repeated if isinstance(columns, ColumnNames) else {}
