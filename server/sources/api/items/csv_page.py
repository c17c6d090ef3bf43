"""Reads a page of CSV with the csv source's own reader: each record is an item whose fields are texts.

Each page has a header, as APIs send it. A record that the reader refuses is a refused item with the reader's reason.
"""

from __future__ import annotations

import json
from typing import Any, Final

from server.core.config import Settings
from server.core.errors import InvalidRequestError
from server.core.reject_kinds import RejectKind
from server.sources.api.items.json_page import Page
from server.sources.contract import Reject
from server.sources.csv.blocks import BlockStart, Limits, read_block
from server.sources.csv.file_beginning import read_beginning
from server.sources.csv.options import parse_options
from server.sources.exact_json.strict_json import JsonRefusedError, encoding_of

# What a record looks like that ends too early.
_BROKEN_KINDS: Final = frozenset({RejectKind.MISSING_COLUMNS, RejectKind.UNCLOSED_QUOTE, RejectKind.BAD_ENCODING})


class _Body:
    """A body in memory (server.sources.storage.streams.ByteSource)."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.bytes_total = len(body)

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on; fewer than `count` only at the end."""
        return self._body[offset : offset + count]

    def close(self) -> None:
        """Nothing to let go of."""


def read_csv(body: bytes, charset: str | None, delimiter: str, settings: Settings) -> Page:
    """Read a page of CSV.

    Args:
        charset: what the response says; None for UTF-8. A byte order mark wins over it.
        delimiter: between two fields.

    Raises:
        JsonRefusedError: it has no header that can be read, or names an encoding that is not known.
    """
    if not body.strip():
        return Page()
    source = _Body(body)
    # A charset that the bytes contradict is not believed, and one that is not needed need not be known.
    encoding = encoding_of(body, charset).removesuffix("-sig")
    try:
        options = parse_options({"delimiter": delimiter, "encoding": encoding})
        beginning = read_beginning(source, "the answer", options, settings)
    except InvalidRequestError as error:
        raise JsonRefusedError(RejectKind.NOT_CSV, f"it is no CSV: {error.message}") from None
    limits = Limits(settings.csv_block_bytes, settings.csv_record_bytes_max, settings.batch_rows_max)
    place = BlockStart(beginning.offset, beginning.line, 1)
    entries: list[tuple[int, int, dict[str, str | None] | Reject]] = []
    while (block := read_block(source, beginning, place, limits)) is not None:
        for part in map(block.part, range(block.part_count)):
            rows = part.frame.iter_rows(named=True)
            entries += zip(part.lines.to_list(), part.byte_offsets.to_list(), rows, strict=True)
            entries += [(reject.line, reject.byte_offset or 0, reject) for reject in part.rejects]
        place = block.next_place
    entries.sort(key=lambda entry: entry[:2])
    last = entries[-1][2] if entries else None
    if isinstance(last, Reject) and last.kind in _BROKEN_KINDS and not body.endswith((b"\n", b"\r")):
        raise JsonRefusedError(
            RejectKind.CUT_OFF, f"its last record has no end, and {last.message[:1].lower()}{last.message[1:]}"
        )
    return _page([entry for _, _, entry in entries], beginning.notices)


def _page(entries: list[dict[str, str | None] | Reject], notices: tuple[str, ...]) -> Page:
    values: list[Any] = []
    texts: list[str] = []
    refused: dict[int, JsonRefusedError] = {}
    for index, entry in enumerate(entries):
        if isinstance(entry, Reject):
            refused[index] = JsonRefusedError(entry.kind, entry.message)
            values.append(None)
            texts.append(entry.raw)
        else:
            values.append(entry)
            texts.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
    return Page(values, texts, refused, "\n".join(texts), notices=notices)
