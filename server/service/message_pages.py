"""The items of a list in messages that each client takes: gRPC takes 4 MiB unless told otherwise.

A raw text of an error, the notices of a run or the options of a schedule may be long, so a page ends by bytes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)
_BYTES_MAX: Final = 2 * 1024 * 1024


def message_pages(items: Iterable[M]) -> Iterator[list[M]]:
    """The items, as many together as one message takes, at least one."""
    page: list[M] = []
    size_bytes = 0
    for item in items:
        item_bytes = item.ByteSize()
        if page and size_bytes + item_bytes > _BYTES_MAX:
            yield page
            page, size_bytes = [], 0
        page.append(item)
        size_bytes += item_bytes
    if page:
        yield page


def first_page(items: Iterable[M]) -> list[M]:
    """The items of a page that begins with them; empty where there is none."""
    return next(message_pages(items), [])
