"""Presets, and `auto`, on the frameworks themselves rather than on servers of ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sources.api.pages import ids
from tests.support.framework_apps import rest_framework, strawberry_relay

COUNT = 230
QUERY = """query ($first: Int, $after: String) {
  songs(first: $first, after: $after) { edges { node { id title artist } } pageInfo { hasNextPage endCursor } }
}"""


@pytest.fixture(scope="module")
def django_app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return rest_framework(tmp_path_factory.mktemp("django"), COUNT)


@pytest.mark.xdist_group("django")
@pytest.mark.parametrize("pager", ["page", "offset", "cursor"])
@pytest.mark.parametrize(
    "options",
    [{"preset": "drf"}, {"dataPath": "results", "pagination": {"enabled": True, "type": "auto", "limitParam": ""}}],
    ids=["preset", "auto"],
)
async def test_each_pager_of_django_rest_framework_is_read_to_its_end(serve, read, django_app, pager, options):
    outcome = await read(f"{await serve(django_app)}/{pager}", options)
    assert (outcome.error, outcome.ids, outcome.doubts) == (None, ids(COUNT), ())
    assert {row["artist"] for row in outcome.rows} == {"Maná"}


async def test_a_relay_list_of_strawberry_is_read_to_its_end(serve, read):
    outcome = await read(await serve(strawberry_relay(COUNT)), {"preset": "graphql-relay", "body": {"query": QUERY}})
    assert (outcome.error, outcome.doubts) == (None, ())
    assert [row["title"] for row in outcome.rows] == [f"Song {n}" for n in range(1, COUNT + 1)]
    assert len(set(outcome.ids)) == COUNT
