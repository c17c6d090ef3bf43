"""What every run of one server shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from db.engine import Database
from server.core.clock import Clock
from server.core.config import Settings
from server.core.instruments import NO_INSTRUMENTS, Instruments
from server.core.waits import RunWaits
from server.execution.source_keys import SourceKeys
from server.execution.stop_signal import RunSignals
from server.sources.contract import InMemorySourceState, SourceContext, SourceMemory
from server.sources.page_cache import NoPages, PageCache
from server.sources.source_type import Reveal
from server.sources.throttle.circuit import Circuits
from server.sources.throttle.host_pace import HostPaces


def _none_kept(_run_id: int) -> PageCache:
    return NoPages()


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every run of one server shares.

    Args:
        keys: tells which runs are of one source.
        reveal: opens a secret.
        circuits: what this replica knows of the hosts of sources.
        changed: told the id of a run whenever its state changes here or one of its batches is committed.
        memory: what sources keep from one run to the next.
        paces: how fast requests go to each host.
        kept_pages: the pages that are kept of the source of a run.
        waits: what the runs of this replica wait for.
        instruments: who counts what happens.
    """

    database: Database
    settings: Settings
    clock: Clock
    keys: SourceKeys
    reveal: Reveal
    changed: Callable[[int], None]
    waits: RunWaits
    circuits: Circuits = field(default_factory=Circuits)
    memory: SourceMemory = field(default_factory=InMemorySourceState)
    paces: HostPaces = field(default_factory=HostPaces)
    kept_pages: Callable[[int], PageCache] = _none_kept
    instruments: Instruments = NO_INSTRUMENTS

    def source_context(self, run_id: int, signals: RunSignals, *, watermark: str | None) -> SourceContext:
        """What the source of one run is given."""
        return SourceContext(
            self.settings,
            self.clock,
            moved=signals.source_progressed,
            circuits=self.circuits,
            watermark=watermark,
            memory=self.memory,
            paces=self.paces,
            kept_pages=self.kept_pages(run_id),
            instruments=self.instruments,
        )
