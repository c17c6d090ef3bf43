"""Column names: made unique when a header is read, and found again without regard to case, accents and spaces around."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason


def positional_names(count: int) -> tuple[str, ...]:
    """Names for columns that have none: column_1, column_2 and so on."""
    return tuple(f"column_{number}" for number in range(1, count + 1))


def unique_names(found: Sequence[str]) -> tuple[str, ...]:
    """Names that differ, in the same order.

    A column without a name is called by its position. Columns that share a name all get a number, also the first one:
    which of them is meant is then never guessed.
    """
    counts = Counter(found)
    taken = {name for name, count in counts.items() if count == 1 and name.strip()}
    names: list[str] = []
    for position, name in enumerate(found, 1):
        if not name.strip():
            base, number = "column", position
        elif counts[name] > 1:
            base, number = name, found[:position].count(name)
        else:
            names.append(name)
            continue
        while (candidate := f"{base}_{number}") in taken:
            number += 1
        taken.add(candidate)
        names.append(candidate)
    return tuple(names)


def folded(name: str) -> str:
    """The form in which names are compared: no case, no accents, no spaces around, no invisible characters."""
    decomposed = unicodedata.normalize("NFKD", name)
    kept = "".join(c for c in decomposed if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
    return kept.casefold().strip()


def match_column(wanted: str, columns: Iterable[str], *, field: str = "options.columnMapping") -> str | None:
    """The source column of that name: the very same name first, else the only one that compares equal.

    Returns:
        The column as the source spells it, or None when there is none.

    Raises:
        InvalidRequestError: INVALID_MAPPING; several columns compare equal, and none is spelled just so.
    """
    known = list(columns)
    if wanted in known:
        return wanted
    key = folded(wanted)
    equal = [column for column in known if folded(column) == key]
    if len(equal) > 1:
        raise InvalidRequestError(
            Reason.INVALID_MAPPING,
            f"the column {wanted!r} could be any of {', '.join(map(repr, equal))}; spell it as the file does",
            field=field,
        )
    return equal[0] if equal else None


def match_columns(
    targets: Iterable[str], columns: Sequence[str], mapping: Mapping[str, str], aliases: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Which source column fills each target column: the mapped one, else the one of the same name, else an alias.

    Args:
        targets: target columns that may be filled.
        columns: source columns.
        mapping: target column to source column, as the options have it.
        aliases: target column to other names, tried in order.

    Returns:
        Target column to source column, for those that have one.

    Raises:
        InvalidRequestError: INVALID_MAPPING; a mapped source column is missing, or a name fits several columns.
    """
    mapped = {folded(target): (target, source) for target, source in mapping.items()}
    others = {folded(target): names for target, names in aliases.items()}
    found: dict[str, str] = {}
    for target in targets:
        if folded(target) in mapped:
            spelled, source = mapped[folded(target)]
            field = f"options.columnMapping.{spelled}"
            column = match_column(source, columns, field=field)
            if column is None:
                raise InvalidRequestError(
                    Reason.INVALID_MAPPING, f"{field}: the source has no column {source!r}", field=field
                )
        else:
            names = (target, *others.get(folded(target), ()))
            matches = (match_column(name, columns, field=f"options.columnAliases.{target}") for name in names)
            column = next((match for match in matches if match is not None), None)
        if column is not None:
            found[target] = column
    return found
