"""Fixtures of the gateway tests: the gateway on a real port, a scripted service behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.config import GatewaySettings
from gateway.serving import gateway_running
from tests.clients.scripted_service import Script, serving

JSON = {"Content-Type": "application/json"}


def settings(**fields: Any) -> GatewaySettings:
    """Settings of a gateway on a free port."""
    return GatewaySettings(http_host="127.0.0.1", **{"http_port": 0, **fields})


@pytest.fixture
def script() -> Script:
    """What the service behind the gateway says."""
    return Script()


@pytest.fixture
def gateway_limits() -> dict[str, Any]:
    """Settings of the gateway that a test module wants otherwise."""
    return {}


@pytest.fixture
async def http(script: Script, gateway_limits: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the gateway."""
    async with (
        serving(script) as target,
        gateway_running(settings(grpc_target=target, **gateway_limits)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=JSON) as client,
    ):
        yield client
