"""Where the parts of a JSON text are, found for the whole text at once rather than character by character.

Exact for what is JSON. Of anything else nothing is asked but the depth, before the parser refuses it.
Algorithm: quote parity as in simdjson (G. Langdale, D. Lemire, 2019), with numpy in place of vector instructions.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ESCAPE: Final = re.compile(r"\\.", re.DOTALL)
_QUOTE, _OPEN, _CLOSE, _COMMA, _SPACE, _COLON = 1, 2, 3, 4, 5, 6
_KINDS: Final = np.zeros(256, dtype=np.uint8)
for _chars, _kind in (('"', _QUOTE), ("[{", _OPEN), ("]}", _CLOSE), (",", _COMMA), (" \t\n\r", _SPACE), (":", _COLON)):
    for _char in _chars:
        _KINDS[ord(_char)] = _kind


class JsonIndex:
    """The parts of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ascii = text.isascii()
        # A backslash and what it escapes become two plain characters, so that each quote left begins or ends a string.
        kinds = _KINDS[self._codes(_ESCAPE.sub("__", text) if "\\" in text else text, 255)]
        marks = np.flatnonzero(kinds)
        kinds = kinds[marks]
        outside = np.cumsum(kinds == _QUOTE, dtype=np.uint32) & 1 == 0
        spaces = marks[(kinds == _SPACE) & outside]
        self._colons = marks[(kinds == _COLON) & outside]
        kept = outside & (kinds >= _OPEN) & (kinds <= _COMMA)
        self._marks, self._kinds = marks[kept], kinds[kept]
        steps = (self._kinds == _OPEN).astype(np.int32) - (self._kinds == _CLOSE)
        self._levels = np.cumsum(steps, dtype=np.int32)
        self._compact, self._removed = self._without(spaces)

    def depth(self) -> int:
        """The deepest nesting of arrays and objects."""
        return int(self._levels.max(initial=0))

    def parts(self) -> int:
        """Brackets and commas outside of strings; there is at most one value more than these."""
        return len(self._marks)

    def array_end(self, start: int) -> int | None:
        """Where the array that begins at `start` ends (behind its bracket), or None when it does not."""
        first = int(np.searchsorted(self._marks, start))
        closed = np.flatnonzero(self._levels[first + 1 :] < self._levels[first])
        return int(self._marks[first + 1 + int(closed[0])]) + 1 if len(closed) else None

    def names(self, start: int, end: int) -> int:
        """How many names of object members stand in text[start:end]."""
        first, last = np.searchsorted(self._colons, (start, end)).tolist()
        return int(last - first)

    def elements(self, start: int, end: int) -> list[str]:
        """The elements of the array in text[start:end], each without white space outside of strings."""
        first, last = np.searchsorted(self._marks, (start, end)).tolist()
        levels = self._levels[first:last]
        commas = self._marks[first:last][(self._kinds[first:last] == _COMMA) & (levels == levels[0])].tolist()
        begins = [start + 1, *(comma + 1 for comma in commas)]
        ends = [*commas, end - 1]
        if self._removed is not None:
            begins = (np.array(begins) - self._removed[begins]).tolist()
            ends = (np.array(ends) - self._removed[ends]).tolist()
        elements = [self._compact[begin:stop] for begin, stop in zip(begins, ends, strict=True)]
        return elements if commas or elements[0] else []

    def compact(self, start: int, end: int) -> str:
        """Part of the text without white space outside of strings."""
        if self._removed is None:
            return self._text[start:end]
        return self._compact[start - int(self._removed[start]) : end - int(self._removed[end])]

    def _codes(self, text: str, highest: int) -> NDArray[np.unsignedinteger]:
        if self._ascii:
            return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        return np.minimum(codes, np.uint32(highest))

    def _without(self, spaces: NDArray[np.intp]) -> tuple[str, NDArray[np.int64] | None]:
        """The text without these characters, and per position how many of them stand before it; None for none."""
        if not len(spaces):
            return self._text, None
        codes = self._codes(self._text, 0x10FFFF)
        kept = np.ones(len(codes), dtype=np.bool_)
        kept[spaces] = False
        content = codes[kept].tobytes()
        compact = content.decode("ascii") if self._ascii else content.decode("utf-32-le", "surrogatepass")
        return compact, np.concatenate((np.zeros(1, np.int64), np.cumsum(~kept, dtype=np.int64)))
