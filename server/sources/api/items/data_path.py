"""Items at a path that is more than keys: list indexes (`result[0].songs`) and JSONPath (`$.albums[*].songs[*]`).

Here the whole page must be exact, because a value that is refused could stand on the way: an item with NaN refuses its
page. A path to one place must lead to an array; of one that finds several places each array gives its elements, and
everything else is an item itself.
"""

from __future__ import annotations

from typing import Any, Final

from server.core.reject_kinds import RejectKind
from server.sources.api.items.json_page import Page, is_nothing, page_of, parse_page
from server.sources.api.items.paths import steps_of, value_at
from server.sources.exact_json.json_values import type_name
from server.sources.exact_json.strict_json import JsonRefusedError, decode, layout_of, parse_whole

_NOWHERE: Final = "options.dataPath {path!r} leads nowhere in it"


def read_json(body: bytes, charset: str | None, data_path: str | None) -> Page:
    """Read a page of JSON.

    Args:
        charset: what the response says, or None.
        data_path: checked path to the items; None for the usual places.

    Raises:
        JsonRefusedError: it is no JSON, too deep, not exact, or has no items there.
    """
    names = None if data_path is None else names_of(data_path)
    if data_path is None or names is not None:
        return parse_page(body, charset, names)
    text = decode(body, charset)
    layout = layout_of(text)
    if data_path.startswith("$"):
        from server.sources.api.items import json_path

        if layout.parts() > json_path.VALUES_MAX:
            raise JsonRefusedError(
                RejectKind.TOO_LARGE, f"it has more than {json_path.VALUES_MAX} values, too many for a JSONPath"
            )
    document = parse_whole(text, may_be_cut=True)
    items = _by_json_path(document, data_path) if data_path.startswith("$") else _by_steps(document, data_path)
    if items is None:
        refusal = JsonRefusedError(RejectKind.NO_ARRAY, _NOWHERE.format(path=data_path))
        if not isinstance(document, dict | list):
            raise refusal
        return page_of([], document, refusal)
    return page_of(items, document)


def names_of(data_path: str) -> tuple[str, ...] | None:
    """The keys of a path that is nothing but keys; None for any other."""
    if data_path.startswith("$"):
        from server.sources.api.items.json_path import json_path

        steps = json_path(data_path).steps
        names = [step for step in steps or () if isinstance(step, str)]
        return tuple(names) if steps is not None and len(names) == len(steps) else None
    found = steps_of(data_path)
    return None if any(step.isdecimal() for step in found) else found


def _by_steps(document: Any, data_path: str) -> list[Any] | None:
    value, way = document, steps_of(data_path)
    for length in range(len(way)):
        if value is None:
            return []
        value, parent = value_at(value, way[length : length + 1]), value
        if value is None:
            return [] if isinstance(parent, dict) and way[length] in parent else None
    return _items(value, data_path)


def _by_json_path(document: Any, data_path: str) -> list[Any] | None:
    from server.sources.api.items.json_path import TooManyNodesError, json_path

    path = json_path(data_path)
    try:
        nodes = path.nodes(document)
        if not nodes:
            return [] if path.may_be_empty(document) else None
    except TooManyNodesError as error:
        raise JsonRefusedError(
            RejectKind.TOO_LARGE, f"options.dataPath {data_path!r} {error}; ask for smaller pages"
        ) from None
    if path.steps is not None:
        return _items(nodes[0], data_path)
    return [item for node in nodes for item in (node if isinstance(node, list) else [node])]


def _items(found: Any, data_path: str) -> list[Any]:
    """What stands where the items are: an array, nothing, a list with holes, or one item (see json_page.items_of)."""
    if isinstance(found, list):
        return found
    if is_nothing(found):
        return []
    if isinstance(found, dict):
        has_holes = all(name.isascii() and name.isdecimal() for name in found)
        return list(found.values()) if has_holes else [found]
    raise JsonRefusedError(
        RejectKind.NO_ARRAY,
        f"options.dataPath {data_path!r} leads to a value of type {type_name(found)}, not to an array",
    )
