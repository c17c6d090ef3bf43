"""What every drill with a main shares: its arguments and its one line of figures."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What a drill found.

    Args:
        done: faults that were really made.
        figures: for the line, in order.
        failures: what was violated, each with its seed.
    """

    done: int = 0
    figures: dict[str, object] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, amount: int = 1) -> None:
        """Count something."""
        had = self.figures.get(name, 0)
        assert isinstance(had, int)
        self.figures[name] = had + amount


def main(name: str, doc: str | None, drill: Callable[[int, int, Outcome], None], count: int) -> None:
    """Run a drill, print its line, one for each failure, and exit.

    Args:
        drill: given seed, count and where to put what it finds.
        count: the goal of the score card.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=count)
    given = parser.parse_args()
    started = time.monotonic()
    outcome = Outcome()
    try:
        drill(given.seed, given.count, outcome)
    except KeyboardInterrupt:
        outcome.failures.append("stopped by hand")
    except Exception:  # noqa: BLE001 - a drill that breaks down has failed; its line is printed all the same
        outcome.failures.append(f"seed {given.seed}: {traceback.format_exc()}")
    figures = ", ".join(f"{key} {value}" for key, value in outcome.figures.items())
    print(
        f"{name} seed {given.seed} count {outcome.done} of {given.count}: {len(outcome.failures)} failures, "
        f"{time.monotonic() - started:.0f} s in all; {figures}"
    )
    for failure in outcome.failures[:20]:
        print(f"  {failure}")
    sys.exit(1 if outcome.failures else 0)


def quantile(values: list[float], share: float) -> float:
    """The value that this share of values does not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
