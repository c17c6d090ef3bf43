"""Items of other shapes than objects in a list: rows that are arrays, objects under names of their own, fields of parents.

They become objects that every mapping understands. A row that is an array has its places as names (`0`, `1`), or the names
that the answer tells for them. Where a mapping goes up, an item has its parents' other fields under `^`, `^^` and so on, and
where it stands under a name of its own, that name under `~`. The text of an item, which is what is stored as a whole, stays as
it is in the source, save for rows whose names are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from server.core.reject_kinds import RejectKind
from server.sources.api.items.json_page import Page
from server.sources.api.items.paths import find
from server.sources.exact_json.json_values import to_text
from server.sources.exact_json.strict_json import JsonRefusedError

UP: Final = "^"
NAME: Final = "~"
_PARENTS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class ItemShape:
    """What is to be made of the items of a source.

    Args:
        row_names_path: where an answer has the names of rows that are arrays; empty for nowhere.
        has_places: whether items are to know their parents and their own name.
    """

    row_names_path: str = ""
    has_places: bool = False


def shape_of(data_path: str | None, row_names_path: str | None, fields: Mapping[str, str]) -> ItemShape:
    """What the options ask for.

    Args:
        data_path: a JSONPath that ends in all members of something may go through an object, whose names identify them.
        fields: paths and templates of a mapping, by column.
    """
    is_keyed = data_path is not None and data_path.startswith("$") and data_path.endswith((".*", "[*]"))
    goes_up = any(UP in text or NAME in text for text in fields.values())
    return ItemShape(row_names_path or "", is_keyed or goes_up)


def shaped(page: Page, shape: ItemShape) -> Page:
    """A page whose items are objects as far as they can be, and whose envelope has them in their place.

    Raises:
        JsonRefusedError: there is no list of names where the options say.
    """
    envelope = _with_items(page.envelope) if page.envelope is not None else page.values
    page = replace(page, envelope=envelope)
    if shape.has_places:
        _Places(page.values).tell(envelope)
    if any(type(value) is list for value in page.values):
        return _with_rows(page, shape.row_names_path)
    return page


def _with_items(value: Any) -> Any:
    """The envelope with the items themselves where a page of them stands."""
    if isinstance(value, Page):
        return value.values
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | Page):
                value[name] = _with_items(inner)
    return value


def _with_rows(page: Page, names_path: str) -> Page:
    names: list[str] = []
    start = 0
    if names_path:
        _, told = find(page.envelope, names_path)
        if not isinstance(told, list):
            raise JsonRefusedError(
                RejectKind.NO_ARRAY, f"options.rowNamesPath {names_path!r} leads to no list of names in it"
            )
        names = [str(each.get("name", "")) if isinstance(each, dict) else str(each) for each in told]
        # The names may be the first of the rows.
        start = int(bool(page.values) and page.values[0] is told)
    values, texts = page.values[start:], page.texts[start:]
    for index, value in enumerate(values):
        if type(value) is not list:
            continue
        values[index] = _row(value, names)
        if names:
            texts[index] = to_text(values[index])
    refused = {index - start: why for index, why in page.refused.items() if index >= start}
    return replace(page, values=values, texts=texts, refused=refused)


def _row(value: list[Any], names: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for place, one in enumerate(value):
        name = names[place] if place < len(names) else ""
        # A name that is missing, or stands there twice, leaves the place.
        row[name if name and name not in row else str(place)] = one
    return row


class _Places:
    """Tells items where they stand in their document."""

    def __init__(self, values: list[Any]) -> None:
        self._items = {id(value) for value in values if type(value) is dict}
        self._ways: set[int] = set()

    def tell(self, envelope: Any) -> None:
        """Give each item its parents and its name."""
        if self._leads_to_item(envelope):
            self._descend(envelope, ())

    def _leads_to_item(self, node: Any) -> bool:
        if not isinstance(node, dict | list):
            return False
        if id(node) in self._items:
            return True
        # Each is looked at: all of them are asked, whichever leads there first.
        inner = node.values() if isinstance(node, dict) else node
        leads = [self._leads_to_item(each) for each in inner]
        if any(leads):
            self._ways.add(id(node))
            return True
        return False

    def _descend(self, node: Any, parents: tuple[dict[str, Any], ...], name: str | None = None) -> None:
        if id(node) in self._items:
            _place(node, parents, name)
        elif isinstance(node, dict):
            if id(node) in self._ways:
                own = {key: each for key, each in node.items() if not self._is_way(each)}
                _place(own, (), name)
                for key, each in node.items():
                    self._descend(each, (own, *parents)[:_PARENTS_MAX], key)
        elif isinstance(node, list) and id(node) in self._ways:
            for each in node:
                self._descend(each, parents)

    def _is_way(self, node: Any) -> bool:
        return isinstance(node, dict | list) and (id(node) in self._ways or id(node) in self._items)


def _place(item: dict[str, Any], parents: tuple[dict[str, Any], ...], name: str | None) -> None:
    """Give an item its parents and name, unless it has fields that are called so."""
    for distance, parent in enumerate(parents, 1):
        item.setdefault(UP * distance, parent)
    if name is not None:
        item.setdefault(NAME, name)
