"""The source types: those of the service, listed here, and custom ones, which installed packages bring.

A package brings one by an entry point of the group `techaura_sync.sources`, whose name is the source type and whose object
is a SourceType (docs/extending.md). It takes the place of none of the service's own. A module is imported when its source
type is first used, so that a start pays for none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.sources.source_type import SourceType

CUSTOM_GROUP: Final = "techaura_sync.sources"
# The contract's sourceType -> module and name of its SourceType.
_OWN_TYPES: Final = {
    "csv": "server.sources.csv.source:CSV",
    "api": "server.sources.api.source:API",
}


@cache
def source_types() -> Mapping[str, str]:
    """Every source type that this process knows, with the module and name of its SourceType."""
    return {point.name: point.value for point in entry_points(group=CUSTOM_GROUP)} | _OWN_TYPES


def source_type(name: str) -> SourceType:
    """The source type of that name.

    Raises:
        InvalidRequestError: UNKNOWN_SOURCE_TYPE.
    """
    places = source_types()
    if name not in places:
        known = ", ".join(sorted(places))
        raise InvalidRequestError(
            Reason.UNKNOWN_SOURCE_TYPE, f"unknown sourceType; this service knows {known}", field="sourceType"
        )
    return _loaded(places[name])


@cache
def _loaded(place: str) -> SourceType:
    module, _, name = place.partition(":")
    found = getattr(import_module(module), name)
    if not isinstance(found, SourceType):
        raise TypeError(f"{place} is no SourceType")
    return found
