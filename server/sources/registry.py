"""The one list of source types. A new source is a folder and an entry here.

A source's module is imported when its type is first used, so that a start pays for none of them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from server.core.errors import InvalidRequestError
from server.sources.source_type import SourceType

# The contract's sourceType -> module and name of its SourceType.
SOURCE_TYPES: Final = {
    "csv": "server.sources.csv.source:CSV",
    "api": "server.sources.api.source:API",
}


def source_type(name: str) -> SourceType:
    """The source type of that name.

    Raises:
        InvalidRequestError: UNKNOWN_SOURCE_TYPE.
    """
    if name not in SOURCE_TYPES:
        known = ", ".join(sorted(SOURCE_TYPES))
        raise InvalidRequestError(
            "UNKNOWN_SOURCE_TYPE", f"unknown sourceType; this service knows {known}", field="sourceType"
        )
    return _loaded(SOURCE_TYPES[name])


@cache
def _loaded(place: str) -> SourceType:
    module, _, name = place.partition(":")
    found: SourceType = getattr(import_module(module), name)
    return found
