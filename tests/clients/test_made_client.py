"""The blocking client is made from the asyncio one: both have the same methods, and a word without a blocking form is refused."""

from __future__ import annotations

import inspect

import pytest
from techaura_sync.aio import AsyncSyncClient
from techaura_sync.aio_schedules import AsyncSyncSchedules
from techaura_sync.client import SyncClient
from techaura_sync.schedules import SyncSchedules

from scripts.blocking_client import blocking


@pytest.mark.parametrize(("made", "of"), [(SyncClient, AsyncSyncClient), (SyncSchedules, AsyncSyncSchedules)])
def test_both_clients_have_the_same_methods(made: type, of: type) -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(one).parameters) for name, one in found if not name.startswith("__")}

    assert methods(made) == methods(of)


def test_what_has_no_blocking_form_is_refused() -> None:
    source = '"""A module."""\n\n\nasync def asked() -> None:\n    async with asyncio.TaskGroup() as tasks:\n        aio_told(tasks)\n'
    with pytest.raises(ValueError, match="'aio_told' has no blocking form"):
        blocking(source, "Made")
    assert "async" not in blocking(source.replace("aio_told", "told"), "Made").partition('"""\n')[2]
