"""Errors in messages that each client takes: a raw text may be long, and gRPC takes messages of 4 MiB unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from techaura.sync.v1 import resources_pb2 as pb

_BYTES_MAX: Final = 2 * 1024 * 1024


def error_pages(errors: Iterable[pb.SyncError]) -> Iterator[list[pb.SyncError]]:
    """The errors, as many together as one message takes, at least one."""
    page: list[pb.SyncError] = []
    size_bytes = 0
    for error in errors:
        error_bytes = error.ByteSize()
        if page and size_bytes + error_bytes > _BYTES_MAX:
            yield page
            page, size_bytes = [], 0
        page.append(error)
        size_bytes += error_bytes
    if page:
        yield page
