"""Fixtures of the client tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.clients.scripted_service import Script, serving


@pytest.fixture
def script() -> Script:
    """What the service on the other side says."""
    return Script()


@pytest.fixture
async def target(script: Script) -> AsyncIterator[str]:
    """Address of a service that follows the script."""
    async with serving(script) as address:
        yield address
