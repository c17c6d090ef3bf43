"""Options of APIs that many people read, by name: what is said once here need not be said by each of them.

Each is what the vendor's reference says of lists: how they are paged, where the items stand, which headers every request
needs. A caller's own options win, object by object; credentials are always the caller's. A column that the target table lacks
is left out of a preset's mapping.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

PresetName = Literal[
    "github",
    "wordpress",
    "woocommerce",
    "shopify",
    "stripe",
    "hubspot",
    "notion",
    "drf",
    "jsonapi",
    "odata",
    "graphql-relay",
    "strapi",
    "discogs",
    "spotify",
    "youtube",
    "google-sheets",
]


def _pages(type_: str, **more: Any) -> dict[str, Any]:
    return {"enabled": True, "type": type_, **more}


PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Link headers; at most 100 items a page.
    "github": {
        "headers": {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
        "pagination": _pages("link", limitParam="per_page", pageSize=100),
    },
    # X-WP-Total and X-WP-TotalPages; a page beyond the last is a 400.
    "wordpress": {
        "fieldMapping": {"title": "title.rendered"},
        "pagination": _pages("page", limitParam="per_page", pageSize=100),
    },
    # As WordPress, whose REST API it stands on.
    "woocommerce": {
        "fieldMapping": {"title": "name"},
        "pagination": _pages("page", limitParam="per_page", pageSize=100),
    },
    # The list stands under the name of the resource; Link headers with page_info; at most 250 items a page.
    "shopify": {"dataPath": "$.*[*]", "pagination": _pages("link", limitParam="limit", pageSize=250)},
    # The last object's id goes back as starting_after, as long as has_more is true.
    "stripe": {
        "dataPath": "data",
        "pagination": _pages(
            "cursor",
            limitParam="limit",
            pageSize=100,
            cursorParam="starting_after",
            cursorPath="$.data[-1].id",
            stopPath="has_more",
            stopValue="false",
        ),
    },
    "hubspot": {
        "dataPath": "results",
        "pagination": _pages(
            "cursor", limitParam="limit", pageSize=100, cursorParam="after", cursorPath="paging.next.after"
        ),
    },
    # Queries are posted, with the cursor in the body; at most 100 items a page.
    "notion": {
        "method": "POST",
        "headers": {"Notion-Version": "2022-06-28"},
        "dataPath": "results",
        "pagination": _pages(
            "cursor",
            paramsIn="body",
            limitParam="page_size",
            pageSize=100,
            cursorParam="start_cursor",
            cursorPath="next_cursor",
        ),
    },
    # Any of its three pagers: each names the next page. A size is asked for by a parameter that each project names.
    "drf": {"dataPath": "results", "pagination": _pages("link", nextUrlPath="next", limitParam="")},
    "jsonapi": {
        "headers": {"Accept": "application/vnd.api+json"},
        "dataPath": "data",
        "fieldMapping": {
            "title": "attributes.title",
            "artist": "attributes.artist",
            "genre": "attributes.genre",
        },
        "pagination": _pages("link", nextUrlPath="links.next", limitParam="page[size]", pageSize=100),
    },
    # $top would cut the list off; how many come at once is a preference.
    "odata": {
        "headers": {"Accept": "application/json", "Prefer": "odata.maxpagesize=500"},
        "dataPath": "value",
        "pagination": _pages("link", nextUrlPath="@odata.nextLink", limitParam=""),
    },
    # One connection under `data`; the query is the caller's, with the variables $first and $after.
    "graphql-relay": {
        "method": "POST",
        "dataPath": "$.data.*.edges[*].node",
        "pagination": _pages(
            "cursor",
            paramsIn="body",
            limitParam="variables.first",
            pageSize=100,
            cursorParam="variables.after",
            cursorPath="$.data.*.pageInfo.endCursor",
            stopPath="$.data.*.pageInfo.hasNextPage",
            stopValue="false",
        ),
    },
    # Version 5; in version 4 the fields stand under `attributes`. At most 100 items a page, as it is delivered.
    "strapi": {
        "dataPath": "data",
        "pagination": _pages("page", pageParam="pagination[page]", limitParam="pagination[pageSize]", pageSize=100),
    },
    # The list stands under the name of what is asked for; totals in `pagination`; at most 100 items a page.
    "discogs": {
        "headers": {"Accept": "application/vnd.discogs.v2.plaintext+json"},
        "dataPath": "$['releases','results','wants','listings','versions'][*]",
        "pagination": _pages(
            "page", limitParam="per_page", pageSize=100, totalPath="pagination.items", pagesPath="pagination.pages"
        ),
    },
    # Offsets and a total; at most 50 items a page.
    "spotify": {
        "dataPath": "items",
        "fieldMapping": {"title": "name", "artist": "$.artists[*].name"},
        "pagination": _pages("offset", limitParam="limit", pageSize=50, totalPath="total"),
    },
    # totalResults is an estimate, and the token decides; at most 50 items a page.
    "youtube": {
        "dataPath": "items",
        "fieldMapping": {"title": "snippet.title", "artist": "snippet.channelTitle"},
        "pagination": _pages(
            "cursor",
            limitParam="maxResults",
            pageSize=50,
            cursorParam="pageToken",
            cursorPath="nextPageToken",
            total="estimate",
        ),
    },
    # spreadsheets.values.get: one answer, its rows arrays, of which the first names the columns.
    "google-sheets": {"dataPath": "values", "rowNamesPath": "values[0]"},
}


def with_preset(document: Mapping[str, Any], columns: Collection[str]) -> Mapping[str, Any]:
    """Options with those of their preset behind them; as they are where they name none that there is.

    Args:
        document: a caller's options, without nulls.
        columns: those of the target table.
    """
    preset = _preset(document, columns)
    return document if preset is None else _merged(preset, document)


def filled_in(document: Mapping[str, Any], columns: Collection[str]) -> str:
    """What the preset of a caller's options fills in, as JSON; empty without one."""
    preset = _preset(document, columns)
    return "" if preset is None else json.dumps(_added(preset, document), ensure_ascii=False, separators=(", ", ": "))


def _preset(document: Mapping[str, Any], columns: Collection[str]) -> Mapping[str, Any] | None:
    name = document.get("preset")
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is None:
        return None
    fitting = dict(preset)
    if "fieldMapping" in preset:
        fitting["fieldMapping"] = {column: path for column, path in preset["fieldMapping"].items() if column in columns}
    own = document.get("headers")
    if "headers" in preset and isinstance(own, Mapping):
        # A header's name has no case.
        called = {str(header).lower() for header in own}
        fitting["headers"] = {
            header: text for header, text in preset["headers"].items() if header.lower() not in called
        }
    return fitting


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(below, value)
        else:
            merged[name] = value
    return merged


def _added(preset: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a preset that a caller has not set."""
    added: dict[str, Any] = {}
    for name, value in preset.items():
        mine = own.get(name)
        if isinstance(value, Mapping) and isinstance(mine, Mapping):
            if inner := _added(value, mine):
                added[name] = inner
        elif name not in own and value != {}:
            added[name] = value
    return added
