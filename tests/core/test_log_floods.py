"""Floods of equal log lines: the first ones pass, the rest is counted, and memory stays bounded."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog

from server.core.log_floods import LEFT_OUT, FloodFilter, FloodGate, FloodProcessor, LineKind
from tests.support.clock import FakeClock

INTERVAL_SECONDS = 60.0


class Story:
    """A gate on a clock that stands still, and what it says."""

    def __init__(self, equal_lines_max: int = 3) -> None:
        self.clock = FakeClock()
        self.told: list[tuple[LineKind, int]] = []
        self.gate = FloodGate(
            self.clock, equal_lines_max, INTERVAL_SECONDS, lambda kind, count: self.told.append((kind, count))
        )
        self.passes = FloodProcessor(self.gate)

    def log(self, event: str, **fields: Any) -> bool:
        """Whether a line passes."""
        try:
            self.passes(None, "", {"event": event, "level": "info", **fields})
        except structlog.DropEvent:
            return False
        return True


def failed(reason: str, run_id: int = 1) -> dict[str, Any]:
    return {"level": "warning", "action": "run", "reason": reason, "run_id": run_id}


def test_the_first_lines_of_an_interval_pass_and_the_rest_is_told_once() -> None:
    story = Story(equal_lines_max=3)
    passed = [story.log("run_ended", **failed("SOURCE_REFUSED", run_id)) for run_id in range(10)]
    assert passed == [True] * 3 + [False] * 7
    assert story.told == []
    story.clock.move(INTERVAL_SECONDS)
    assert story.log("serving")
    assert story.told == [(LineKind("warning", "run_ended", "run", "SOURCE_REFUSED"), 7)]
    assert story.log("run_ended", **failed("SOURCE_REFUSED"))
    story.gate.tell_all()
    assert len(story.told) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"event": "run_started"},
        {"reason": "SOURCE_MALFORMED"},
        {"action": "claim"},
        {"level": "error"},
    ],
)
def test_lines_of_another_kind_are_not_held_back(other: dict[str, str]) -> None:
    story = Story(equal_lines_max=1)
    line: dict[str, Any] = {"event": "run_ended", **failed("SOURCE_REFUSED")}
    assert [story.log(**line), story.log(**line), story.log(**line | other)] == [True, False, True]


def test_faults_of_another_class_are_another_kind() -> None:
    story = Story(equal_lines_max=1)
    faults = [ValueError("a"), ValueError("b"), KeyError("c")]
    assert [story.log("loop_fault", action="retry", exc_info=fault) for fault in faults] == [True, False, True]
    # As `log.exception` has it.
    passed = []
    for fault in (OSError(), OSError()):
        try:
            raise fault
        except OSError:
            passed.append(story.log("loop_fault", action="retry", exc_info=True))
    assert passed == [True, False]


def test_what_was_left_out_is_told_at_the_end() -> None:
    story = Story(equal_lines_max=1)
    assert [story.log("waiting"), story.log("waiting")] == [True, False]
    story.gate.tell_all()
    assert [(kind.event, count) for kind, count in story.told] == [("waiting", 1)]


def test_the_line_that_tells_always_passes() -> None:
    story = Story(equal_lines_max=1)
    assert [story.log(LEFT_OUT) for _ in range(5)] == [True] * 5


def test_of_too_many_kinds_the_oldest_is_told_early_and_forgotten() -> None:
    story = Story(equal_lines_max=1)
    assert [story.log("first"), story.log("first")] == [True, False]
    for number in range(1000):
        assert story.log(f"event {number}")
    assert [(kind.event, count) for kind, count in story.told] == [("first", 1)]
    assert story.log("first")


def test_lines_of_libraries_are_equal_by_their_text_before_values_are_put_in() -> None:
    story = Story(equal_lines_max=2)
    lines = FloodFilter(story.gate)

    def passes(text: str, value: int) -> bool:
        return lines.filter(logging.LogRecord("aiomysql", logging.WARNING, "", 1, text, (value,), None))

    assert [passes("slow: %s", 1), passes("slow: %s", 2), passes("slow: %s", 3), passes("lost: %s", 4)] == [
        True,
        True,
        False,
        True,
    ]
