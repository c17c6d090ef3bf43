"""Metrics of a process: one registry, one port, for as long as the process runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.core.clock import Clock, SystemClock
from server.core.config import Settings
from server.core.tasks import owned_tasks
from server.metrics.endpoint import MetricsEndpoint, metrics_listening
from server.metrics.exposition import Exposition
from server.metrics.loop_lag import LoopLag


@dataclass(frozen=True, slots=True)
class ServedMetrics:
    """Metrics that are served.

    Args:
        port: where.
        exposition: the registry, to which server and gateway add theirs.
    """

    port: int
    exposition: Exposition


@asynccontextmanager
async def metrics_running(
    settings: Settings, is_ours: Callable[[str], bool], *, clock: Clock | None = None
) -> AsyncIterator[ServedMetrics]:
    """Serve metrics while the block runs.

    Args:
        is_ours: whether a request may name this host.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    exposition = Exposition()
    endpoint = MetricsEndpoint(settings, exposition.text, is_ours)
    async with metrics_listening(settings, endpoint) as port, owned_tasks() as tasks:
        tasks.start(LoopLag(exposition.registry, clock or SystemClock()).run(), name="loop-lag")
        yield ServedMetrics(port, exposition)
