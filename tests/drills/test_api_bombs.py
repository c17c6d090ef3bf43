"""A few bombs in every test run, on the real program; `python -m tests.drills.api_bombs` tries all and measures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills.api_bombs import BOMBS, bomb_server, try_bomb, try_message
from tests.support.service import Service


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with bomb_server() as address:
        yield address


@pytest.mark.parametrize("name", [name for name in BOMBS if "100 MB" not in name])
def test_a_bomb_is_refused(live_server: Service, base: str, name: str) -> None:
    _seconds, _growth, wrong = try_bomb(live_server, base, name, 0)
    assert wrong == ""


@pytest.mark.parametrize("which", ["identifier", "header"])
def test_a_message_that_is_too_large_is_refused(live_server: Service, which: str) -> None:
    _seconds, _growth, wrong = try_message(live_server, which)
    assert wrong == ""
