"""Reads a response body within bounds: bytes on the wire, bytes after decompression, and the ratio of the two.

Decompression goes in steps of bounded size, so a bomb is refused after a few megabytes and never held in memory.
Only one encoding is accepted; a body encoded twice has no honest use. Where no encoding is stated, the first bytes tell
gzip and zstd: exports are often served as the files that they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Final

from server.core.errors import FatalError, RetryableError
from server.core.reasons import Category, Reason
from server.sources.api.http.decompress import decompressor_for

# JSON of a catalogue compresses 5 to 40 times; beyond this ratio, past the first megabyte, it is no such thing.
RATIO_MAX: Final = 200
_RATIO_FROM_BYTES: Final = 1024 * 1024


_MAGIC: Final = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MAGIC_BYTES: Final = 4


async def read_body(chunks: AsyncIterable[bytes], headers: Mapping[str, str], bytes_max: int, source: str) -> bytes:
    """The decompressed body of a streamed response.

    Args:
        chunks: as they come from the wire.
        headers: names in lower case.
        bytes_max: the most that it may hold, compressed or not.
        source: the URL as it may be shown.

    Raises:
        FatalError: SOURCE_MALFORMED (parsing), it is too large, too densely packed, damaged, or in an unknown encoding.
        RetryableError: SOURCE_UNAVAILABLE, it ended before its end.
        httpx.TransportError: the connection failed.
    """
    encoding = headers.get("content-encoding", "")
    if encoding.strip().lower() in ("", "identity"):
        beginning, chunks = await _with_beginning(chunks)
        encoding = next((name for magic, name in _MAGIC.items() if beginning.startswith(magic)), encoding)
    decompressor = decompressor_for(encoding)
    if decompressor is None:
        raise _malformed(f"{source} answered in a content encoding that was not asked for")
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise _too_large(source, bytes_max)
    # Pieces, not one growing array: growing would hold the content twice for a moment.
    pieces: list[bytes] = []
    received = size = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            for piece in decompressor.steps(chunk):
                pieces.append(piece)
                size += len(piece)
                if max(size, received) > bytes_max:
                    raise _too_large(source, bytes_max)
                if size > max(_RATIO_FROM_BYTES, received * RATIO_MAX):
                    raise _malformed(f"{source} answered a body that is compressed more than {RATIO_MAX} times")
        except ValueError as error:
            raise _malformed(f"{source} answered a compressed body with {error}") from error
    if not decompressor.finished() or (encoding and not received):
        raise RetryableError(Reason.SOURCE_UNAVAILABLE, f"{source} ended its compressed answer before its end")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _with_beginning(chunks: AsyncIterable[bytes]) -> tuple[bytes, AsyncIterable[bytes]]:
    """The first bytes, and all chunks, those included."""
    iterator = aiter(chunks)
    beginning = b""
    while len(beginning) < _MAGIC_BYTES and (chunk := await anext(iterator, None)) is not None:
        beginning += chunk

    async def whole() -> AsyncIterator[bytes]:
        yield beginning
        async for chunk in iterator:
            yield chunk

    return beginning[:_MAGIC_BYTES], whole()


async def read_beginning(chunks: AsyncIterable[bytes], headers: Mapping[str, str], bytes_max: int) -> bytes:
    """The first bytes of a streamed response, decompressed; what cannot be decompressed is left out.

    Raises:
        httpx.TransportError: the connection failed.
    """
    decompressor = decompressor_for(headers.get("content-encoding", ""))
    found = bytearray()
    if decompressor is None:
        return b""
    try:
        async for chunk in chunks:
            for piece in decompressor.steps(chunk):
                found += piece[: bytes_max - len(found)]
                if len(found) >= bytes_max:
                    return bytes(found)
    except ValueError:
        return b""
    return bytes(found)


def _too_large(source: str, bytes_max: int) -> FatalError:
    return _malformed(
        f"{source} answered more than {bytes_max} bytes for one page; ask for smaller pages, or raise "
        "TECHAURA_SYNC_HTTP_PAGE_BYTES_MAX"
    )


def _malformed(message: str) -> FatalError:
    return FatalError(Reason.SOURCE_MALFORMED, message, category=Category.PARSING)
