"""JSONPath (RFC 9535) with bounded cost: what a caller may write, and how it is applied to a parsed document.

The library follows the standard; what makes its cost grow faster than the document is refused when the options are
checked: more than one `..`, filters inside of filters, `$` in a filter, many selectors in one pair of brackets, and
the regular expressions of match() and search(). So each value of the document is visited a few times at most. A
document of more than VALUES_MAX values, or a path that finds more than NODES_MAX, is refused when it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError, function_extensions
from jsonpath.filter import BaseExpression, FilterContextPath, FilterQuery, RootFilterQuery
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import Filter, IndexSelector, NameSelector

from server.sources.exact_json.json_values import NumberText

VALUES_MAX: Final = 500_000
NODES_MAX: Final = 200_000
# Selectors of all brackets multiplied: [0,1][0,1] finds up to four nodes for one.
_BRANCHES_MAX: Final = 32


class TooManyNodesError(ValueError):
    """A path finds more than NODES_MAX values."""


class _Environment(JSONPathEnvironment):
    """The standard's syntax, without its regular expressions; numbers are compared as numbers whatever their form."""

    def setup_function_extensions(self) -> None:
        self.function_extensions["length"] = function_extensions.Length()
        self.function_extensions["count"] = function_extensions.Count()
        self.function_extensions["value"] = function_extensions.Value()

    def getitem(self, obj: Any, key: Any) -> Any:
        # A slice of a text is no value of the document: in the standard only arrays have slices.
        return [] if isinstance(key, slice) and not isinstance(obj, list) else super().getitem(obj, key)

    def compare(self, left: object, operator: str, right: object) -> bool:
        return super().compare(_number(left), operator, _number(right))


_ENVIRONMENT: Final = _Environment(strict=True, filter_caching=False)


class JsonPath:
    """One path, checked.

    Args:
        text: begins with `$`.

    Raises:
        ValueError: it is no JSONPath, or one that could cost too much; the text is the end of a sentence.
    """

    def __init__(self, text: str) -> None:
        try:
            compiled = _ENVIRONMENT.compile(text)
        except (JSONPathError, RecursionError) as error:
            raise ValueError(f"is no JSONPath of RFC 9535: {_reason(error)}") from None
        if not isinstance(compiled, JSONPath):
            raise ValueError("is no JSONPath of RFC 9535: it joins several paths")  # noqa: TRY004 - for whoever checks options a value is wrong
        _check_cost(compiled)
        self._path = compiled

    @property
    def steps(self) -> tuple[str | int, ...] | None:
        """Names and indexes, when the path is nothing but those and leads to one value at most; else None."""
        if not self._path.singular_query():
            return None
        return tuple(
            selector.name if isinstance(selector, NameSelector) else selector.index
            for segment in self._path.segments
            for selector in segment.selectors
            if isinstance(selector, NameSelector | IndexSelector)
        )

    def nodes(self, document: Any) -> list[Any]:
        """The values that the path finds, in the document's order.

        Raises:
            TooManyNodesError
        """
        found = list(islice(_found(self._path, document), NODES_MAX + 1))
        if len(found) > NODES_MAX:
            raise TooManyNodesError(f"finds more than {NODES_MAX} values")
        return found

    def first(self, document: Any) -> tuple[bool, Any]:
        """Whether the path finds anything, and the first value that it finds."""
        for value in _found(self._path, document):
            return True, value
        return False, None

    def may_be_empty(self, document: Any) -> bool:
        """Whether the document has a place for what the path looks for, where it finds nothing.

        `$.albums[*].songs[*]` may find nothing in albums without songs; where no album has `songs` it leads nowhere.
        """
        for length in reversed(range(len(self._path.segments))):
            shorter = JSONPath(env=_ENVIRONMENT, segments=self._path.segments[:length])
            if any(isinstance(value, dict | list) for value in _found(shorter, document)):
                taken = self._path.segments[length]
                is_named = all(isinstance(one, NameSelector | IndexSelector) for one in taken.selectors)
                return not is_named and not isinstance(taken, JSONPathRecursiveDescentSegment)
        return False


@lru_cache(maxsize=1024)
def json_path(text: str) -> JsonPath:
    """The path of a text, compiled once."""
    return JsonPath(text)


def _found(path: JSONPath, document: Any) -> Iterator[Any]:
    if isinstance(document, dict | list):
        for match in path.finditer(document):
            yield match.obj
    elif path.empty():
        # The library would take a text for a document of its own, and parse it.
        yield document


def _number(value: object) -> object:
    """A number as what it is worth: items keep theirs as texts, and 1.10 equals 1.1."""
    if isinstance(value, NumberText):
        return Decimal(value)
    return Decimal(repr(value)) if isinstance(value, float) and math.isfinite(value) else value


def _reason(error: BaseException) -> str:
    return str(error.args[0])[:100] if error.args else "it is too deep"


def _check_cost(path: JSONPath) -> None:
    branches, descents = 1, 0
    for segment in path.segments:
        branches *= len(segment.selectors)
        descents += isinstance(segment, JSONPathRecursiveDescentSegment)
        for selector in segment.selectors:
            if isinstance(selector, Filter):
                for expression in _expressions(selector.expression):
                    _check_filter(expression)
    if descents > 1:
        raise ValueError("has '..' more than once, which could take for ever")
    if branches > _BRANCHES_MAX:
        raise ValueError(f"has more than {_BRANCHES_MAX} ways through its brackets, which could take for ever")


def _expressions(expression: BaseExpression) -> Iterator[BaseExpression]:
    yield expression
    for child in expression.children():
        yield from _expressions(child)


def _check_filter(expression: BaseExpression) -> None:
    if isinstance(expression, RootFilterQuery | FilterContextPath):
        raise ValueError("has '$' in a filter; only '@', the value that is looked at, may stand there")  # noqa: TRY004
    if not isinstance(expression, FilterQuery):
        return
    branches = 1
    for segment in expression.path.segments:
        branches *= len(segment.selectors)
        is_deep = isinstance(segment, JSONPathRecursiveDescentSegment)
        if is_deep or any(isinstance(one, Filter) for one in segment.selectors):
            raise ValueError("has '..' or a filter inside of a filter, which could take for ever")
    if branches > _BRANCHES_MAX:
        raise ValueError(f"has more than {_BRANCHES_MAX} ways through the brackets of a filter")
