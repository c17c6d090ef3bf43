"""Whether the source of a run, a schedule or a request is within the reach of its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from server.core.callers import Caller
from server.core.config import Settings
from server.core.errors import PermissionDeniedError
from server.core.secret_box import reference_of
from server.sources.registry import source_type, source_types


class OfSource(Protocol):
    """A run or a schedule."""

    @property
    def source_type(self) -> str:
        """Of what kind its source is."""

    @property
    def source_identifier(self) -> str:
        """As its caller wrote it."""


Item = TypeVar("Item", bound=OfSource)


async def within_reach(caller: Caller, items: Iterable[Item], settings: Settings) -> list[Item]:
    """Those of the items whose sources a caller reaches. Looks at the disk."""
    if not caller.reach.is_narrow:
        return list(items)
    return await asyncio.to_thread(_within_reach, caller, list(items), settings)


def require_everything(caller: Caller, what: str) -> None:
    """Refuse a caller who does not reach every source.

    Raises:
        PermissionDeniedError
    """
    if caller.reach.is_narrow:
        raise PermissionDeniedError(f"{what} all sources, and the key {caller.name!r} is narrowed to some of them")


async def check_reach(
    caller: Caller, source_type_name: str, source_identifier: str, options: Mapping[str, Any], settings: Settings
) -> None:
    """Make sure that a caller reaches a source with everything that its options name. Looks at the disk.

    Args:
        source_type_name: a known one.

    Raises:
        PermissionDeniedError
    """
    reach = caller.reach
    if reach.secrets is not None:
        for name in _secret_names(options):
            if name not in reach.secrets:
                raise PermissionDeniedError(
                    f"the key {caller.name!r} may not use the secret {name[:100]}", field="options"
                )
    if not reach.is_narrow:
        return
    kind = source_type(source_type_name)
    places = await asyncio.to_thread(kind.places, source_identifier, settings)
    if not reach.has(source_identifier, places):
        raise PermissionDeniedError(f"the key {caller.name!r} does not reach this source", field="sourceIdentifier")
    if not all(reach.has_place(url) for url in kind.further_urls(options)):
        raise PermissionDeniedError(
            f"the key {caller.name!r} does not reach a host that the options name", field="options"
        )


def _within_reach(caller: Caller, items: list[Item], settings: Settings) -> list[Item]:
    """Each source is looked at once: many runs are of few sources."""
    known: dict[tuple[str, str], bool] = {}
    found = []
    for item in items:
        name, identifier = item.source_type, item.source_identifier
        if (name, identifier) not in known:
            known[name, identifier] = name in source_types() and caller.reach.has(
                identifier, source_type(name).places(identifier, settings)
            )
        if known[name, identifier]:
            found.append(item)
    return found


def _secret_names(value: Any) -> Iterator[str]:
    """The variables and files that options refer to, wherever they stand."""
    reference = reference_of(value)
    if reference is not None:
        if reference.kind in ("env", "file"):
            yield reference.text
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secret_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_names(item)
