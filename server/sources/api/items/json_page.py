"""Reads a page of JSON: the array of items, each with its exact text, and the envelope around it.

Each item keeps its text as it stands in the page, less the white space outside of strings, so numbers keep every digit
whatever their size. An item that is JSON but cannot be kept exactly (NaN, 1e999, a key twice, half a surrogate pair) is
refused by itself; a page that is no JSON, or is nested deeper than 64, is refused whole. The page is walked once: the
way to the array by this module, the array by a compiled parser (fast_json.py), and all that this one leaves to a
stricter judge by the C scanner of the standard library.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.core.reject_kinds import RejectKind
from server.sources.api.items.fast_json import FastArrays
from server.sources.api.items.json_index import JsonIndex
from server.sources.api.items.json_values import NumberText, type_name

DEPTH_MAX: Final = 64
# Python knows these too, but they are ways of writing text in text, and no character set of a response.
_NO_CHARSETS: Final = frozenset(
    {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "utf_7", "utf7", "undefined"}
)
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class JsonRefusedError(ValueError):
    """JSON that is not taken. Holds no content.

    Args:
        kind: what is wrong, as a stable name.
        message: what is wrong, as the end of a sentence about "it".
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


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
    """

    values: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    refused: dict[int, JsonRefusedError] = field(default_factory=dict)
    text: str = ""
    envelope: Any = None
    notices: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonRefusedError(RejectKind.DUPLICATE_KEY, "it has an object with the same key twice")
    return found


def _float(text: str) -> NumberText:
    if math.isinf(float(text)):
        raise JsonRefusedError(RejectKind.OUT_OF_RANGE, "it has a number beyond the range of a double, such as 1e999")
    return NumberText(text)


def _constant(name: str) -> Any:
    raise JsonRefusedError(RejectKind.NOT_A_NUMBER, f"it has {name}, which JSON does not know")


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
_FAST: Final = FastArrays(_float)
# Finds the end of an item that the strict one refuses.
_LENIENT: Final = json.JSONDecoder(parse_int=len, parse_float=len)


def parse_page(body: bytes, charset: str | None, names: tuple[str, ...] | None) -> Page:
    """Read a page whose items stand in one array.

    Args:
        charset: what the response says; None: UTF-8, 16 or 32 by the first bytes.
        names: keys that lead to the array; None: the body itself, else `data`, else `items`.

    Raises:
        JsonRefusedError: it is no JSON, too deep, not exact outside of the items, or has no array there.
    """
    text = decode(body, charset)
    layout = layout_of(text)
    paths = [(), ("data",), ("items",)] if names is None else [names]
    with refusals():
        value, end = _walk(layout, text, _skip(text, 0), paths)
        _check_ended(text, end)
    for path in paths:
        found = _at(value, path)
        if isinstance(found, Page):
            return found if found is value else replace(found, envelope=value)
    raise JsonRefusedError(RejectKind.NO_ARRAY, _no_array(value, paths, names))


def parse_whole(text: str) -> Any:
    """A text as one value.

    Raises:
        JsonRefusedError: it is no JSON, or is not exact.
    """
    with refusals():
        value, end = _STRICT.raw_decode(text, _skip(text, 0))
        _check_ended(text, end)
    if has_half_pair(text, value):
        raise half_pair()
    return value


def layout_of(text: str) -> JsonIndex:
    """Where the parts of a text are.

    Raises:
        JsonRefusedError: too_deep.
    """
    layout = JsonIndex(text)
    if layout.depth() > DEPTH_MAX:
        raise _too_deep()
    return layout


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the parser raises into JsonRefusedError."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise JsonRefusedError(
            RejectKind.NOT_JSON, f"it is no JSON: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos}"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except JsonRefusedError:
        raise
    except ValueError:
        raise _too_long_number() from None


def decode(body: bytes, charset: str | None) -> str:
    """A body as text.

    Args:
        charset: what the response says; None: UTF-8, 16 or 32 by the first bytes.

    Raises:
        JsonRefusedError: bad_encoding.
    """
    encoding = charset or json.detect_encoding(body)
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    try:
        if encoding.lower().replace("-", "_") in _NO_CHARSETS:
            raise LookupError
        return body.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise JsonRefusedError(RejectKind.BAD_ENCODING, "it names an encoding that is not known") from None
    except UnicodeError as error:
        place = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise JsonRefusedError(RejectKind.BAD_ENCODING, f"it is not {encoding}{place}") from None


def _check_ended(text: str, end: int) -> None:
    end = _skip(text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _too_deep() -> JsonRefusedError:
    return JsonRefusedError(RejectKind.TOO_DEEP, f"it is nested deeper than {DEPTH_MAX}")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _walk(layout: JsonIndex, text: str, at: int, paths: list[tuple[str, ...]]) -> tuple[Any, int]:
    """The value at a position and its end; arrays at one of the paths are read item by item."""
    start = text[at : at + 1]
    if start == "[" and () in paths:
        return _walk_array(layout, text, at)
    if start == "{" and any(paths):
        return _walk_object(layout, text, at + 1, paths)
    return _STRICT.raw_decode(text, at)


def _walk_array(layout: JsonIndex, text: str, at: int) -> tuple[Page, int]:
    """The array that begins at a position: parsed at once, or item by item when one of them is refused."""
    fast_end = layout.array_end(at)
    fast = _FAST.decode(text[at:fast_end], layout.names(at, fast_end)) if fast_end else None
    if fast is not None and fast_end is not None:
        return Page(fast, layout.elements(at, fast_end), {}, layout.compact(at, fast_end)), fast_end
    refused: dict[int, JsonRefusedError] = {}
    try:
        values, end = _STRICT.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        values, refused, end = _walk_items(text, at)
    texts = layout.elements(at, end)
    if _SURROGATE.search(text, at, end):
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
        at = _skip(text, at + 1)
        try:
            value, at = _STRICT.raw_decode(text, at)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            refused[len(values)] = error if isinstance(error, JsonRefusedError) else _too_long_number()
            value, (_, at) = None, _LENIENT.raw_decode(text, at)
        values.append(value)
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            return values, refused, at + 1
        if text[at : at + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)


def _too_long_number() -> JsonRefusedError:
    return JsonRefusedError(RejectKind.OUT_OF_RANGE, "it has a whole number of more than 4300 digits")


def half_pair() -> JsonRefusedError:
    """The refusal of what `has_half_pair` finds."""
    return JsonRefusedError(RejectKind.BAD_ENCODING, "it has half of a surrogate pair, which is no character")


def has_half_pair(text: str, value: Any) -> bool:
    """Whether a text or a name in an item cannot be written as UTF-8."""
    if not _SURROGATE.search(text):
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _walk_object(layout: JsonIndex, text: str, at: int, paths: list[tuple[str, ...]]) -> tuple[dict[str, Any], int]:
    pairs: list[tuple[str, Any]] = []
    at = _skip(text, at)
    if text[at : at + 1] == "}":
        return {}, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = _STRICT.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        at = _skip(text, at + 1)
        value, at = _walk(layout, text, at, [path[1:] for path in paths if path[:1] == (key,)])
        pairs.append((key, value))
        at = _skip(text, at)
        separator = text[at : at + 1]
        if separator == "}":
            return _object(pairs), at + 1
        if separator != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)


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
