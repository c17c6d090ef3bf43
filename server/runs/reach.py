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
    return await asyncio.to_thread(lambda: [item for item in items if _reaches(caller, item, settings)])


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
    identity = await asyncio.to_thread(kind.identity, source_identifier, settings)
    if not reach.has(source_identifier, identity):
        raise PermissionDeniedError(f"the key {caller.name!r} does not reach this source", field="sourceIdentifier")
    if not all(reach.has_place(url) for url in kind.further_urls(options)):
        raise PermissionDeniedError(
            f"the key {caller.name!r} does not reach a host that the options name", field="options"
        )


def _reaches(caller: Caller, item: OfSource, settings: Settings) -> bool:
    if item.source_type not in source_types():
        return False
    return caller.reach.has(
        item.source_identifier, source_type(item.source_type).identity(item.source_identifier, settings)
    )


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
