"""Spreads the parts of a long simulation over processes, and adds up what they found."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from typing import Any, TypeVar

F = TypeVar("F")


def spread(part: Callable[..., F], arguments: Sequence[tuple[Any, ...]], processes: int) -> Iterator[F]:
    """What each call of `part` answers, in the order of its arguments; a part is made anew in a process of its own."""
    # Spawned: a forked process would take over threads and locks that it has no use for.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, max(1, len(arguments))), mp_context=context) as pool:
        yield from pool.map(part, *zip(*arguments, strict=True))


def added(total: F, parts: Iterable[F]) -> F:
    """The figures of all parts, added to `total`: its counts and its lists."""
    for found in parts:
        for field in fields(total):  # type: ignore[arg-type]
            setattr(total, field.name, getattr(total, field.name) + getattr(found, field.name))
    return total
