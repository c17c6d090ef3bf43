"""Callers as JSON."""

from __future__ import annotations

from typing import Annotated, TypedDict

from techaura.sync.v1 import sync_service_pb2

from techaura_sync.views.values import Facets


class CallerView(TypedDict):
    """Who calls, and what they may do."""

    name: Annotated[
        str,
        "By which the audit knows the caller; `anyone` where callers are not asked who they are.",
        Facets(example="bot"),
    ]
    scopes: Annotated[list[str], "What the caller may do: read, trigger, operate, admin (everything)."]
    narrowed: Annotated[bool, "Whether the caller reaches only some of the sources."]


def caller_view(caller: sync_service_pb2.GetCallerResponse) -> CallerView:
    """The JSON of a caller."""
    return CallerView(name=caller.name, scopes=list(caller.scopes), narrowed=caller.narrowed)
