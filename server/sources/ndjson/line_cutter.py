"""Cuts a file into lines at its line feeds, a block at a time.

A line of `record_bytes_max` or more is passed over piece by piece and handed out by its head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from server.sources.contract import REJECT_RAW_CHARS_MAX
from server.sources.csv.blocks import Limits
from server.sources.storage.streams import ByteSource

_SKIP_BYTES: Final = 1024 * 1024
# A character takes four bytes at the most.
_HEAD_BYTES: Final = 4 * REJECT_RAW_CHARS_MAX


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines from one place on.

    Args:
        texts: their bytes, without line feeds.
        offset: where the first one begins.
        end_offset: where the next block begins.
        is_too_long: whether there is one line, of which only the head is here.
    """

    texts: tuple[bytes, ...]
    offset: int
    end_offset: int
    is_too_long: bool = False

    def with_offsets(self) -> Iterator[tuple[int, bytes]]:
        """Each line with its place."""
        offset = self.offset
        for text in self.texts:
            yield offset, text
            offset += len(text) + 1


def read_lines(source: ByteSource, offset: int, limits: Limits) -> Lines | None:
    """The lines from an offset on; None at the end.

    Raises:
        FatalError: the content is damaged.
    """
    wanted = limits.block_bytes
    while True:
        data = source.read(offset, wanted)
        at_end = len(data) < wanted
        if not data:
            return None
        end = len(data) if at_end else data.rfind(b"\n") + 1
        if end and data.find(b"\n", 0, limits.record_bytes_max) >= 0:
            return _cut(data[:end], offset)
        if len(data) >= limits.record_bytes_max:
            return _too_long(source, offset)
        if end:
            return _cut(data[:end], offset)
        wanted *= 2


def _cut(data: bytes, offset: int) -> Lines:
    return Lines(tuple(data.removesuffix(b"\n").split(b"\n")), offset, offset + len(data))


def _too_long(source: ByteSource, offset: int) -> Lines:
    head = source.read(offset, _HEAD_BYTES).split(b"\n", 1)[0]
    at = offset
    while True:
        data = source.read(at, _SKIP_BYTES)
        found = data.find(b"\n")
        if found >= 0 or len(data) < _SKIP_BYTES:
            return Lines((head,), offset, at + (found + 1 if found >= 0 else len(data)), is_too_long=True)
        at += len(data)
