"""Column names: made unique when a header is read. How they are found again is said in pipeline/names.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from server.core.texts import folded, visible
from server.sources.contract import ColumnNames


def positional_names(count: int) -> tuple[str, ...]:
    """Names for columns that have none: column_1, column_2 and so on."""
    return tuple(f"column_{number}" for number in range(1, count + 1))


def unique_names(found: Sequence[str]) -> ColumnNames:
    """Names that differ, in the same order.

    A column without a name is called by its position. Columns whose names look the same all get a number, also the first
    one: which of them is meant is then never guessed.
    """
    looks = [visible(name) for name in found]
    counts = Counter(looks)
    taken = {name for name, look in zip(found, looks, strict=True) if counts[look] == 1 and look.strip()}
    names: list[str] = []
    repeated: dict[str, list[int]] = {}
    # Of each base the number after the last one that was given out: all before it are taken.
    following: dict[tuple[str, bool], int] = {}
    for position, (name, look) in enumerate(zip(found, looks, strict=True), 1):
        if not look.strip():
            base, number = "column", position
        elif counts[look] > 1:
            places = repeated.setdefault(look, [])
            places.append(position)
            base, number = look, len(places)
        else:
            names.append(name)
            continue
        # A column that is called `column` counts by itself, beside those without a name.
        kind = (base, bool(look.strip()))
        number = max(number, following.get(kind, 0))
        while (candidate := f"{base}_{number}") in taken:
            number += 1
        following[kind] = number + 1
        taken.add(candidate)
        names.append(candidate)
    return ColumnNames(names, {look: tuple(places) for look, places in repeated.items()})


def counterparts(names: Sequence[str], others: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names among `others` that mean the same columns as `names`, which are unique as `others` are.

    Each means the one that is equal to it, or else the only one that differs in nothing but case, accents, white space, underscores
    and what cannot be seen.

    Returns:
        The counterparts in the order of `names`; the names of both sides without one (the counterparts are of no use then).
    """
    equal = frozenset(names) & frozenset(others)
    left = _by_form([name for name in others if name not in equal])
    mine = _by_form([name for name in names if name not in equal])
    found = {mine[form][0]: left[form][0] for form in mine if len(mine[form]) == len(left.get(form, ())) == 1 and form}
    odd = frozenset(names).symmetric_difference(others) - found.keys() - frozenset(found.values())
    return tuple(found.get(name, name) for name in names), odd


def _by_form(names: Sequence[str]) -> dict[str, list[str]]:
    forms: dict[str, list[str]] = {}
    for name in names:
        forms.setdefault(folded(name), []).append(name)
    return forms
