"""What every run of one server shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from db.engine import Database
from server.core.clock import Clock
from server.core.config import Settings
from server.sources.registry import Reveal


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every run of one server shares.

    Args:
        reveal: opens a secret.
        progressed: told the id of a run each time one of its batches is committed.
    """

    database: Database
    settings: Settings
    clock: Clock
    reveal: Reveal
    progressed: Callable[[int], None]
