"""Looks at the first page of an API, and where pages are numbered also whether there is one before it."""

from __future__ import annotations

from typing import Any, Final

from server.core.errors import SyncError
from server.sources.api.options import ApiOptions
from server.sources.api.reader import open_api
from server.sources.contract import SourceBatch, SourceContext
from server.sources.exact_json.strict_json import JsonRefusedError, parse_whole
from server.sources.source_type import FIELDS_MAX, Reveal, SourcePreview

_FIELD_ITEMS_MAX: Final = 1000


async def preview_api(
    identifier: str, options: ApiOptions, context: SourceContext, reveal: Reveal, rows_max: int
) -> SourcePreview:
    """Fetch one page.

    Args:
        rows_max: samples at most.

    Raises:
        InvalidRequestError, RetryableError, FatalError: as for a run.
    """
    reader = await open_api(identifier, _one_page(options), context, reveal)
    try:
        batch = await anext(aiter(reader.batches(None, 1)), None)
        before = await _page_before(identifier, options, context, reveal, batch)
        items = (
            [] if batch is None else [_parsed(batch, row) for row in range(min(batch.frame.height, _FIELD_ITEMS_MAX))]
        )
        fields = tuple(dict.fromkeys(name for item in items for name in item))
        return SourcePreview(
            columns=reader.info.columns,
            fields=fields[:FIELDS_MAX],
            samples=tuple(items[:rows_max]),
            batch=batch,
            is_whole=reader.at_end,
            detected={**reader.detected(), **({"preset": options.filled_in} if options.filled_in else {})},
            notices=(*(notice for notice in reader.notices() if "maxPages" not in notice), *before),
        )
    finally:
        await reader.close()


def _one_page(options: ApiOptions, **pagination: Any) -> ApiOptions:
    return options.model_copy(
        update={"pagination": options.pagination.model_copy(update={"max_pages": 1, **pagination})}
    )


async def _page_before(
    identifier: str, options: ApiOptions, context: SourceContext, reveal: Reveal, first: SourceBatch | None
) -> tuple[str, ...]:
    """Whether there is a page 0 with other items, where nobody has said which page is the first one.

    Nothing else shows that a source counts from 0 which says nothing of its pages; a run would leave 100 items out.
    """
    paging = options.pagination
    if not paging.enabled or paging.type != "page" or paging.first_page is not None or first is None:
        return ()
    reader = await open_api(identifier, _one_page(options, first_page=0), context, reveal)
    try:
        before = await anext(aiter(reader.batches(None, 1)), None)
    except SyncError:
        # That there is no page 0 is how most sources are.
        return ()
    finally:
        await reader.close()
    if before is None or _same_items(before, first):
        return ()
    text = "page 1 was taken for the first one, and page 0 has other items: if they belong to the list, set "
    return (f"{text}options.pagination.firstPage to 0",)


def _same_items(one: SourceBatch, other: SourceBatch) -> bool:
    """Whether two pages have the same items, by their identifiers where they have some: other fields may be new each time."""
    name = "external_id"
    if name in one.frame.columns and name in other.frame.columns and not one.frame[name].null_count():
        return set(one.frame[name]) == set(other.frame[name])
    return one.frame.equals(other.frame)


def _parsed(batch: SourceBatch, row: int) -> dict[str, Any]:
    try:
        item = parse_whole(batch.raw_text(row))
    except JsonRefusedError:
        return {}
    if isinstance(item, list):
        # As a mapping names their places.
        return {f"[{place}]": value for place, value in enumerate(item)}
    return item if isinstance(item, dict) else {}
