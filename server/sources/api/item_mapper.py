"""Turns items into text columns that are called like target columns.

A field that the request maps is taken whatever its type (objects and arrays as compact JSON); a field that is only
called like a column is taken when it is a text, a number or a boolean, for `artist: {...}` is no artist's name.
Numbers keep the digits of the source; for a column of numbers they are written as it reads texts (`number_text`), since
69.900 is a fraction in JSON and may mean thousands anywhere else. A column that the options fill (content_type) is never taken by name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.core.reject_kinds import RejectKind
from server.sources.api.items.item_shapes import NAME
from server.sources.api.items.json_page import Page
from server.sources.api.items.paths import extract_of
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject
from server.sources.csv.number_columns import number_text
from server.sources.exact_json.json_values import NumberText, text_of, type_name
from server.targets.base import Target

# The last one is the name that the item stands under, of which an object has each but once.
IDENTIFIERS: Final = ("id", "_id", "external_id", "uuid", NAME)

# Texts of one column from the items' values and their JSON.
Extract = Callable[[Sequence[Any], Sequence[str]], list[str | None]]


class ItemMapper:
    """Maps items to the columns of a table.

    Args:
        field_mapping: target column to a path or a template (see paths.py).
        constants: columns that the options fill; no field is taken for them by name.
        decimal: the mark before the decimals of texts that are numbers.
    """

    def __init__(
        self, target: Target, field_mapping: Mapping[str, str], constants: Collection[str] = (), decimal: str = "."
    ) -> None:
        digits = _digits(decimal)
        extracts: dict[str, Extract] = {}
        for column, described in target.by_name.items():
            shown = digits if described.kind in ("integer", "decimal") else text_of
            if column in field_mapping:
                as_json = column == target.extras_column
                extracts[column] = _by_field(column, field_mapping[column], as_json=as_json, shown=shown)
            elif column == target.identity_column:
                extracts[column] = _identifiers
            elif column == target.extras_column:
                extracts[column] = _whole
            elif column not in constants:
                extracts[column] = _by_name(column, shown)
        self._extracts = extracts
        # Mapped columns for which no item so far had a value.
        self._unmet = {column: path for column, path in field_mapping.items() if column in extracts}
        self._has_items = False

    def notices(self) -> tuple[str, ...]:
        """What a person should know about the items so far: mapped paths that lead nowhere in all of them."""
        return tuple(
            f"no item has a value at {path}, where options.fieldMapping.{column} points; the column stays empty"
            for column, path in self._unmet.items()
            if self._has_items
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The target columns that are filled, in table order."""
        return tuple(self._extracts)

    def texts(self, values: Sequence[Any], texts: Sequence[str]) -> dict[str, list[str | None]]:
        """For each target column the text of each item, or None.

        Args:
            values: the items, all of them objects.
            texts: their JSON.
        """
        found = {column: extract(values, texts) for column, extract in self._extracts.items()}
        self._has_items = self._has_items or bool(values)
        for column in [each for each in self._unmet if any(text is not None for text in found[each])]:
            del self._unmet[column]
        return found

    def texts_of(
        self, columns: Sequence[str], values: Sequence[Any], texts: Sequence[str]
    ) -> dict[str, list[str | None]]:
        """As `texts`, for some of the columns."""
        return {column: self._extracts[column](values, texts) for column in columns}


def rejects_of(page: Page, first_number: int) -> dict[int, Reject]:
    """The items of a page that cannot be loaded, by index. What is null is no item, and not among them.

    Args:
        first_number: number of the page's first item in the source, from 1.
    """
    rejects: dict[int, Reject] = {}
    for index, value in enumerate(page.values):
        refused = page.refused.get(index)
        if type(value) is dict or (value is None and refused is None):
            continue
        if refused is not None:
            kind, message = refused.kind, refused.message
        else:
            kind, message = RejectKind.NOT_AN_OBJECT, f"it is of type {type_name(value)}, not an object with fields"
        rejects[index] = Reject(
            kind=kind,
            category=Category.PARSING,
            message=f"item {first_number + index} is not loaded: {message}",
            line=first_number + index,
            byte_offset=None,
            column=None,
            raw=page.texts[index][:REJECT_RAW_CHARS_MAX],
        )
    return rejects


def _digits(decimal: str) -> Callable[[Any], str | None]:
    """`text_of` for a column of numbers."""

    def shown(value: Any) -> str | None:
        return number_text(str(value), decimal) if type(value) is NumberText else text_of(value)

    return shown


def _by_field(column: str, text: str, *, as_json: bool, shown: Callable[[Any], str | None]) -> Extract:
    find = extract_of(text, as_json=as_json, shown=shown)

    def extract(values: Sequence[Any], _texts: Sequence[str]) -> list[str | None]:
        try:
            return [find(value) for value in values]
        except ValueError as error:
            raise FatalError(
                Reason.INVALID_MAPPING,
                f"options.fieldMapping.{column} {error} in one item",
                category=Category.VALIDATION,
            ) from None

    return extract


def _by_name(column: str, shown: Callable[[Any], str | None]) -> Extract:
    def extract(values: Sequence[Any], _texts: Sequence[str]) -> list[str | None]:
        found = [value.get(column) for value in values]
        return [
            item if type(item) is str or item is None else None if isinstance(item, dict | list) else shown(item)
            for item in found
        ]

    return extract


def _identifiers(values: Sequence[Any], _texts: Sequence[str]) -> list[str | None]:
    return [_identifier(value) for value in values]


def _identifier(item: Mapping[str, Any]) -> str | None:
    """The first identifier that is a text or a number, MongoDB's {"$oid": ...} included."""
    for name in IDENTIFIERS:
        value = item.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, dict) and len(value) == 1:
            value = value.get("$oid")
        if not isinstance(value, bool | dict | list) and value is not None:
            return text_of(value)
    return None


def _whole(_values: Sequence[Any], texts: Sequence[str]) -> list[str | None]:
    return list(texts)
