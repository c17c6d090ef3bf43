"""Paths into parsed JSON: `artist.name`, `tracks[0].name`, `$.tracks[*].name`, and templates of them.

A dot path goes through names and list indexes (`tracks.0.name` is the same as `tracks[0].name`); a key that has dots in
it goes before the way through objects. What begins with `$` is JSONPath (see json_path.py). `^.artist` is a field of the item's parent, `~` the name that it stands under (see
item_shapes.py). A text with braces is a
template: `{artist.name} - {title}`; it has a value only where each of its paths has one, so that no half of it is ever
stored; `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from server.sources.exact_json.json_values import text_of, to_text

PATH_CHARS_MAX: Final = 512
_SEGMENT: Final = re.compile(r"(?P<name>[^\[\]]*)(?P<indexes>(?:\[[0-9]{1,9}\])*)")
_WAY_UP: Final = re.compile(r"\^{1,8}\.[^^]+")
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|.", re.DOTALL)

# The text that a field has in an item, or None.
Extract = Callable[[Any], str | None]


def steps_of(path: str) -> tuple[str, ...]:
    """The keys and indexes of a dot path.

    Raises:
        ValueError: it is none; the text is the end of a sentence.
    """
    steps: list[str] = []
    for position, segment in enumerate(path.split(".")):
        match = _SEGMENT.fullmatch(segment)
        if match is None:
            raise ValueError("is no path, such as result.items or tracks[0].name")
        name, indexes = match["name"], re.findall(r"[0-9]+", match["indexes"])
        if not name and (position or not indexes):
            raise ValueError("is no path, such as result.items or tracks[0].name")
        steps += [name, *indexes] if name else indexes
    return tuple(steps)


def check_path(path: str) -> str:
    """A path to one place or to several: dot path or JSONPath.

    Raises:
        ValueError: it is none.
    """
    if path.startswith("^") and not _WAY_UP.fullmatch(path):
        raise ValueError("goes up with ^ but names no field of the parent, such as ^.artist or ^^.id")
    if path.startswith("$"):
        # Imported here and below: most sources need no JSONPath, and their start should not pay for it.
        from server.sources.api.items.json_path import json_path

        json_path(path)
    else:
        steps_of(path)
    return path


def check_field(text: str) -> str:
    """A path or a template.

    Raises:
        ValueError: it is neither.
    """
    for path in _pieces(text)[1] if is_template(text) else (text,):
        check_path(path)
    return text


def way_of(path: str) -> tuple[str, ...]:
    """Keys and indexes of a path to one place; none for a path to several."""
    if not path.startswith("$"):
        return steps_of(path)
    from server.sources.api.items.json_path import json_path

    return tuple(map(str, json_path(path).steps or ()))


def is_template(text: str) -> bool:
    """Whether a text is a template rather than one path."""
    return not text.startswith("$") and "{" in text


def value_at(value: Any, steps: Sequence[str]) -> Any:
    """The value at a way of keys and list indexes, or None."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def find(value: Any, path: str) -> tuple[bool, Any]:
    """Whether something stands at a dot path or JSONPath, and the (first) value there; null stands there too."""
    if path.startswith("$"):
        from server.sources.api.items.json_path import json_path

        return json_path(path).first(value)
    if isinstance(value, dict) and path in value:
        return True, value[path]
    *before, last = _steps(path)
    parent = value_at(value, before)
    if isinstance(parent, dict):
        return last in parent, parent.get(last)
    found = value_at(parent, (last,)) if isinstance(parent, list) else None
    return found is not None, found


def extract_of(text: str, *, as_json: bool = False, shown: Extract = text_of) -> Extract:
    """How the text of a field is taken from an item.

    Several values that a JSONPath finds are joined by a comma and a space where each is a text, number or boolean,
    and are a JSON array otherwise.

    Args:
        text: a checked path or template.
        as_json: several values are always a JSON array, for a column that holds JSON.
        shown: how one value becomes text.
    """
    if is_template(text):
        return _template(text, shown)
    if text.startswith("$"):
        return _by_json_path(text, shown, as_json=as_json)
    steps = _steps(text)
    if steps == (text,):
        return lambda item: shown(item.get(text))

    def by_steps(item: Any) -> str | None:
        whole = item.get(text)
        return shown(value_at(item, steps) if whole is None else whole)

    return by_steps


def _by_json_path(text: str, shown: Extract, *, as_json: bool) -> Extract:
    from server.sources.api.items.json_path import json_path

    path = json_path(text)
    is_single = path.steps is not None

    def extract(item: Any) -> str | None:
        nodes = path.nodes(item)
        if is_single or not nodes:
            return shown(nodes[0]) if nodes else None
        if as_json or any(isinstance(node, dict | list) for node in nodes):
            return to_text(nodes)
        texts = [text_of(node) for node in nodes]
        return ", ".join(one for one in texts if one is not None) or None

    return extract


def _template(text: str, shown: Extract) -> Extract:
    literals, paths = _pieces(text)
    extracts = [extract_of(path, shown=shown) for path in paths]

    def extract(item: Any) -> str | None:
        made = [literals[0]]
        for one, literal in zip(extracts, literals[1:], strict=True):
            found = one(item)
            if found is None or found == "":
                return None
            made += (found, literal)
        return "".join(made)

    return extract


@lru_cache(maxsize=1024)
def _pieces(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The literals of a template and the paths between them; there is one literal more than paths."""
    literals, paths = [""], []
    for match in _PIECE.finditer(text):
        piece = match[0]
        if match[1] is not None:
            paths.append(match[1].strip())
            literals.append("")
        elif piece in ("{", "}"):
            raise ValueError("has a brace without its other half; write {{ or }} for a brace")
        else:
            literals[-1] += {"{{": "{", "}}": "}"}.get(piece, piece)
    if not paths:
        raise ValueError("is a template without a path, such as {artist.name} - {title}")
    return tuple(literals), tuple(paths)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...]:
    return steps_of(path)
