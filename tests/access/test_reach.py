"""What a key that is narrowed reaches: of a name that may mean several files, all must be within reach."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from server.core.callers import Reach
from server.core.host_patterns import HostPatterns
from server.sources.storage.identity import file_places


def test_a_relative_name_is_within_reach_only_if_all_that_it_may_mean_is(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        root.mkdir()
    reach = Reach(roots=(PurePosixPath(first),))
    # Nothing is there yet, and it may come in the other root.
    assert not reach.has("later.csv", file_places("later.csv", [first, second]))
    assert reach.has("later.csv", file_places("later.csv", [first]))
    assert reach.has(f"{first}/later.csv", file_places(f"{first}/later.csv", [first, second]))


@pytest.mark.parametrize(
    ("pattern", "identifier", "is_reached"),
    [
        ("https://shop.example/v1/*", "https://shop.example/v1/songs?page=1", True),
        ("https://shop.example/v1/*", "https://shop.example/v1/../admin", False),
        ("https://shop.example/v1/*", "https://shop.example/v1/%2E%2e/admin", False),
        ("https://shop.example/v1/*", "https://shop.example/v1/%2e%2e%2fadmin", False),
        ("https://shop.example/v1/*", "HTTPS://shop.example/v1/songs", False),
        ("https://shop.example/", "https://shop.example/", True),
        ("https://shop.example/", "https://shop.example/x", False),
    ],
)
def test_patterns_of_addresses(pattern: str, identifier: str, is_reached: bool) -> None:
    assert Reach(sources=(pattern,)).has(identifier, ("https://shop.example:443/",)) is is_reached


def test_sources_and_places_must_both_be_within_reach() -> None:
    reach = Reach(sources=("https://shop.example/*",), hosts=HostPatterns.parse("other.example"))
    assert not reach.has("https://shop.example/a", ("https://shop.example:443/",))
    # Where folders or hosts are named, what is in none of them is out of reach.
    assert not Reach(hosts=HostPatterns.parse("shop.example")).has("a.csv", ("/data/a.csv",))
    assert not Reach(roots=(PurePosixPath("/data"),)).has("https://shop.example/", ("https://shop.example:443/",))
    assert not Reach(roots=(PurePosixPath("/data"),)).has("x", ("unknown://x",))


def test_reach_comes_back_from_json_as_it_was() -> None:
    for reach in (Reach(), Reach(("a*",), (PurePosixPath("/x"),), HostPatterns.parse("a.b:1,*.c"), frozenset({"S"}))):
        assert Reach.from_json(reach.as_json()) == reach
