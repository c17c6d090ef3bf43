"""Looks at the first page of an API."""

from __future__ import annotations

from typing import Any, Final

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
    one_page = options.model_copy(update={"pagination": options.pagination.model_copy(update={"max_pages": 1})})
    reader = await open_api(identifier, one_page, context, reveal)
    try:
        batch = await anext(aiter(reader.batches(None, 1)), None)
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
            detected=reader.detected(),
            notices=tuple(notice for notice in reader.notices() if "maxPages" not in notice),
        )
    finally:
        await reader.close()


def _parsed(batch: SourceBatch, row: int) -> dict[str, Any]:
    try:
        item = parse_whole(batch.raw_text(row))
    except JsonRefusedError:
        return {}
    if isinstance(item, list):
        # As a mapping names their places.
        return {f"[{place}]": value for place, value in enumerate(item)}
    return item if isinstance(item, dict) else {}
