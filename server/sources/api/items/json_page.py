"""Reads a page of JSON: the array of items, each with its exact text, and the envelope around it.

Each item keeps its text as it stands in the page, less the white space outside of strings, so numbers keep every digit
whatever their size. An item that is JSON but cannot be kept exactly (NaN, 1e999, a key twice, half a surrogate pair) is
refused by itself; a page that is no JSON, or is nested deeper than 64, is refused whole. The page is walked once: the
way to the array by this module, the array by a compiled parser (fast_json.py), and all that this one leaves to a
stricter judge by the C scanner of the standard library.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.core.reject_kinds import RejectKind
from server.sources.api.items.fast_json import FastArrays
from server.sources.exact_json.json_index import JsonIndex
from server.sources.exact_json.json_values import to_text, type_name
from server.sources.exact_json.strict_json import (
    STRICT,
    SURROGATE,
    JsonRefusedError,
    check_ended,
    decode,
    half_pair,
    has_half_pair,
    layout_of,
    number_text,
    refusals,
    skip_space,
    too_long_number,
    unique_object,
)


@dataclass(frozen=True, slots=True)
class Page:
    """A parsed body. Columns rather than rows, because there are very many items.

    Args:
        values: the elements of the array, as parsed; numbers with a fraction or exponent are `NumberText`.
        texts: per element, compact JSON with the source's own digits.
        refused: by index, why an element cannot be kept exactly; its value is None.
        text: compact JSON of the array.
        envelope: what stands around the array; in it the array itself is of no meaning.
        notices: what a person should know.
        unless_known: why it is taken for a page only where the source is known to have its items there; None: it is one.
    """

    values: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    refused: dict[int, JsonRefusedError] = field(default_factory=dict)
    text: str = ""
    envelope: Any = None
    notices: tuple[str, ...] = ()
    unless_known: JsonRefusedError | None = None


_FAST: Final = FastArrays(number_text)
# Finds the end of an item that the strict one refuses.
_LENIENT: Final = json.JSONDecoder(parse_int=len, parse_float=len)


def parse_page(body: bytes, charset: str | None, names: tuple[str, ...] | None) -> Page:
    """Read a page whose items stand in one array.

    Args:
        charset: what the response says; None: UTF-8, 16 or 32 by the first bytes.
        names: keys that lead to the array; None: the body itself, else `data`, else `items`.

    Raises:
        JsonRefusedError: it is no JSON, cut off, too deep, not exact outside of the items, or has no items there.
    """
    text = decode(body, charset)
    layout = layout_of(text)
    paths = [(), ("data",), ("items",)] if names is None else [names]
    with refusals(text):
        value, end = _walk(layout, text, skip_space(text, 0), paths)
        check_ended(text, end)
    for path in paths:
        found = _at(value, path)
        if isinstance(found, Page):
            return found if found is value else replace(found, envelope=value)
    refusal = JsonRefusedError(RejectKind.NO_ARRAY, _no_array(value, paths, names))
    for path in paths:
        items = items_of(value, path, is_named=names is not None)
        if items is not None:
            return page_of(items, value)
    if not any(_is_missing(value, path) for path in paths):
        raise refusal
    # Whether a source is done that has nothing there, or was misread, only its other pages tell.
    return page_of([], value, refusal)


def _walk(layout: JsonIndex, text: str, at: int, paths: list[tuple[str, ...]]) -> tuple[Any, int]:
    """The value at a position and its end; arrays at one of the paths are read item by item."""
    start = text[at : at + 1]
    if start == "[" and () in paths:
        return _walk_array(layout, text, at)
    if start == "{" and any(paths):
        return _walk_object(layout, text, at + 1, paths)
    return STRICT.raw_decode(text, at)


def _walk_array(layout: JsonIndex, text: str, at: int) -> tuple[Page, int]:
    """The array that begins at a position: parsed at once, or item by item when one of them is refused."""
    fast_end = layout.array_end(at)
    fast = _FAST.decode(text[at:fast_end], layout.names(at, fast_end)) if fast_end else None
    if fast is not None and fast_end is not None:
        return Page(fast, layout.elements(at, fast_end), {}, layout.compact(at, fast_end)), fast_end
    refused: dict[int, JsonRefusedError] = {}
    try:
        values, end = STRICT.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        values, refused, end = _walk_items(text, at)
    texts = layout.elements(at, end)
    if SURROGATE.search(text, at, end):
        for index in range(len(values)):
            if has_half_pair(texts[index], values[index]):
                values[index] = None
                refused[index] = half_pair()
    if len(texts) != len(values):
        raise AssertionError("the layout and the parser disagree on the number of items")
    return Page(values, texts, refused, layout.compact(at, end)), end


def _walk_items(text: str, at: int) -> tuple[list[Any], dict[int, JsonRefusedError], int]:
    """Values of an array with at least one element, which of them are refused, and the array's end."""
    values: list[Any] = []
    refused: dict[int, JsonRefusedError] = {}
    while True:
        at = skip_space(text, at + 1)
        try:
            value, at = STRICT.raw_decode(text, at)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            refused[len(values)] = error if isinstance(error, JsonRefusedError) else too_long_number()
            value, (_, at) = None, _LENIENT.raw_decode(text, at)
        values.append(value)
        at = skip_space(text, at)
        if text[at : at + 1] == "]":
            return values, refused, at + 1
        if text[at : at + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)


def _walk_object(layout: JsonIndex, text: str, at: int, paths: list[tuple[str, ...]]) -> tuple[dict[str, Any], int]:
    pairs: list[tuple[str, Any]] = []
    at = skip_space(text, at)
    if text[at : at + 1] == "}":
        return {}, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = STRICT.raw_decode(text, at)
        at = skip_space(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        at = skip_space(text, at + 1)
        value, at = _walk(layout, text, at, [path[1:] for path in paths if path[:1] == (key,)])
        pairs.append((key, value))
        at = skip_space(text, at)
        separator = text[at : at + 1]
        if separator == "}":
            return unique_object(pairs), at + 1
        if separator != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = skip_space(text, at + 1)


def items_of(document: Any, way: tuple[str, ...], *, is_named: bool) -> list[Any] | None:
    """The items at a way of keys where no array stands; None where nothing tells that there are any, or none.

    Nothing is written as null, as a text of nothing, or as an object without members. An object whose names are all
    numbers is a list with holes, and any other is one item (XML made JSON has no lists of one).

    Args:
        is_named: whether the request names the way, so that what stands there is meant.
    """
    value = document
    for key in way:
        if is_nothing(value) and value != {}:
            return []
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    if is_nothing(value):
        return [] if way or value is None else None
    if isinstance(value, dict) and way:
        if all(name.isascii() and name.isdecimal() for name in value):
            return list(value.values())
        return [value] if is_named else None
    return None


def is_nothing(value: Any) -> bool:
    """Whether a value is how a source writes that it has no items."""
    return value is None or value == {} or (isinstance(value, str) and not value.strip())


def page_of(items: list[Any], envelope: Any, unless_known: JsonRefusedError | None = None) -> Page:
    """A page of parsed items that stand in no array of the text."""
    texts = [to_text(item) for item in items]
    refused = {index: half_pair() for index, text in enumerate(texts) if not _is_writable(text)}
    values = [None if index in refused else item for index, item in enumerate(items)]
    texts = [ascii(item) if index in refused else texts[index] for index, item in enumerate(items)]
    return Page(values, texts, refused, f"[{','.join(texts)}]", envelope, (), unless_known)


def _is_writable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_missing(document: Any, way: tuple[str, ...]) -> bool:
    """Whether a way of keys leads nowhere in an object, rather than to something else than items."""
    return isinstance(document, dict) and bool(way) and _at(document, way) is None


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def _no_array(value: Any, paths: list[tuple[str, ...]], names: tuple[str, ...] | None) -> str:
    data_path = ".".join(names or ())
    if names is None:
        return f"it is of type {type_name(value)} and has no array at data or items; set options.dataPath to the array"
    for length in range(1, len(paths[0]) + 1):
        found, parent = _at(value, paths[0][:length]), _at(value, paths[0][: length - 1])
        if not isinstance(parent, dict) or paths[0][length - 1] not in parent:
            return f"options.dataPath {data_path!r} leads nowhere: there is no {'.'.join(paths[0][:length])!r} in it"
    return f"options.dataPath {data_path!r} leads to a value of type {type_name(found)}, not to an array"
