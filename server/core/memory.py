"""Returns unused memory to the operating system."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_ARENA_MAX: Final = -8
_ARENAS_MAX: Final = 2


def limit_arenas() -> None:
    """Make glibc's allocator share its pools between threads.

    By default each thread that works on a batch gets a pool of its own, and each pool keeps its largest batch: some 40 MiB
    of a run's peak (`scripts/bench load`). Called before the first thread starts; elsewhere than on glibc it does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS_MAX)
