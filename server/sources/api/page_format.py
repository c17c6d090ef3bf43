"""Chooses how the body of a page is read: by the option `format`, else by its content type, else as JSON."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from server.core.config import Settings
from server.sources.api.http.client import Answer
from server.sources.api.items.data_path import read_json
from server.sources.api.items.item_shapes import shape_of, shaped
from server.sources.api.items.json_page import Page
from server.sources.api.items.ndjson_page import read_lines
from server.sources.api.options import ApiOptions

_BY_MEDIA_TYPE: Final = {
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonl": "ndjson",
    "application/jsonlines": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/json-lines": "ndjson",
    "text/csv": "csv",
    "application/csv": "csv",
}

# `)]}'` of Angular and Gerrit, loops of Facebook and Google, and others of their kind.
_GUARD: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:\)\]\}'?,?|while\s*\(\s*(?:1|true)\s*\)\s*;?|for\s*\(\s*;\s*;\s*\)\s*;?"
    rb"|throw\s+[^;\n]{1,100};(?:\s*<[^>\n]{1,100}>)?|\{\}\s*&&|&&&START&&&|//[^\n]{0,100}\n)\s*"
)
_THREAD_BYTES_MIN: Final = 256 * 1024


def format_of(answer: Answer, options: ApiOptions) -> str:
    """json, ndjson or csv."""
    return options.format if options.format != "auto" else _BY_MEDIA_TYPE.get(answer.media_type, "json")


async def read_answer(answer: Answer, options: ApiOptions, settings: Settings) -> Page:
    """The items of a response and what stands around them; a large one is read in a thread, so that leases are renewed.

    Raises:
        JsonRefused: it cannot be read.
    """
    if len(answer.body) < _THREAD_BYTES_MIN:
        return _read(answer, options, settings)
    return await asyncio.to_thread(_read, answer, options, settings)


def _read(answer: Answer, options: ApiOptions, settings: Settings) -> Page:
    kind = format_of(answer, options)
    shape = shape_of(options.data_path, options.row_names_path, options.field_mapping)
    if kind == "ndjson":
        return shaped(read_lines(answer.body, answer.charset), shape)
    if kind == "csv":
        # Imported here: the CSV reader is large, and few APIs answer with it.
        from server.sources.api.items.csv_page import read_csv

        return read_csv(answer.body, answer.charset, options.csv_delimiter, settings)
    return shaped(read_json(_unguarded(answer.body), answer.charset, options.data_path), shape)


def _unguarded(body: bytes) -> bytes:
    """A body without what guards JSON against being run as a script."""
    guard = _GUARD.match(body)
    return body[guard.end() :] if guard else body
