"""Looks at the beginning of a CSV file, or of the first of several."""

from __future__ import annotations

import json
from typing import Final

from server.sources.contract import SourceContext
from server.sources.csv.options import CsvOptions
from server.sources.csv.reader import open_csv
from server.sources.source_type import FIELDS_MAX, SourcePreview

# What `fields` says, and what is told of every file.
_LONG: Final = frozenset({"header", "formats", "files"})


async def preview_csv(identifier: str, options: CsvOptions, context: SourceContext, rows_max: int) -> SourcePreview:
    """Read the header and one block.

    Args:
        context: its settings say how large a block is.
        rows_max: samples at the most.

    Raises:
        InvalidRequestError, RetryableError, FatalError: as for a run.
    """
    reader = await open_csv(identifier, options, context)
    try:
        batches = aiter(reader.batches(None, 1))
        batch = await anext(batches, None)
        is_whole = batch is None or await anext(batches, None) is None
        detected = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in reader.info.detected.items()
            if name not in _LONG
        }
        return SourcePreview(
            columns=reader.info.columns,
            fields=reader.info.columns[:FIELDS_MAX],
            samples=() if batch is None else tuple(batch.frame.head(rows_max).to_dicts()),
            batch=batch,
            is_whole=is_whole,
            detected=detected,
            notices=reader.notices(),
        )
    finally:
        await reader.close()
