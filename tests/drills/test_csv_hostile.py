"""Each shape of the drill once, small: whatever it is, the reader comes to an end with rows or a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills import csv_hostile


@pytest.mark.parametrize("shape", list(csv_hostile.SHAPES))
def test_a_hostile_shape_is_read_or_refused_with_a_reason(tmp_path: Path, shape: str) -> None:
    (tmp_path / "x.csv").write_bytes(csv_hostile.content(shape, 40_000))
    outcomes = {csv_hostile.look(tmp_path)[1], csv_hostile.read(tmp_path)[1]}
    assert outcomes <= {"", "SOURCE_MALFORMED"}
