"""Reads a response body within bounds: bytes on the wire, bytes after decompression, and the ratio of the two.

Decompression goes in steps of bounded size, so a bomb is refused after a few megabytes and never held in memory.
Only one encoding is accepted; a body encoded twice has no honest use.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, Iterator, Mapping
from typing import Final, Protocol

from server.core.errors import Fatal, Retryable

ACCEPT_ENCODING: Final = "gzip, deflate"
# JSON of a catalogue compresses 5 to 40 times; beyond this ratio, past the first megabyte, it is no such thing.
RATIO_MAX: Final = 200
_RATIO_FROM_BYTES: Final = 1024 * 1024
_STEP_BYTES: Final = 256 * 1024


class Decompressor(Protocol):
    """One encoding."""

    def steps(self, data: bytes) -> Iterator[bytes]:
        """Decompress in pieces of bounded size.

        Raises:
            ValueError: the data is damaged.
        """
        ...

    def finished(self) -> bool:
        """Whether the data so far is whole."""
        ...


class _Identity:
    def steps(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finished(self) -> bool:
        return True


class _Zlib:
    """gzip, and deflate in both of the forms that servers send."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16) if gzip else None
        self._started = False

    def steps(self, data: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            if not data:
                return
            # RFC 9110 means the zlib form; some servers send raw deflate, which never begins like it.
            is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        try:
            while data:
                self._started = True
                if self._inflater.eof:
                    if not self._gzip:
                        raise ValueError("data after the end of the stream")
                    # A gzip file may be several members, one after the other.
                    self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
                yield self._inflater.decompress(data, _STEP_BYTES)
                data = self._inflater.unconsumed_tail or self._inflater.unused_data
        except zlib.error as error:
            raise ValueError("damaged data") from error

    def finished(self) -> bool:
        return not self._started or (self._inflater is not None and self._inflater.eof)


def _decompressor(encoding: str) -> Decompressor | None:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Identity()
    if name in ("gzip", "x-gzip", "deflate"):
        return _Zlib(gzip=name != "deflate")
    return None


async def read_body(chunks: AsyncIterable[bytes], headers: Mapping[str, str], bytes_max: int, source: str) -> bytes:
    """The decompressed body of a streamed response.

    Args:
        chunks: as they come from the wire.
        headers: names in lower case.
        bytes_max: the most that it may hold, compressed or not.
        source: the URL as it may be shown.

    Raises:
        Fatal: SOURCE_MALFORMED (parsing), it is too large, too densely packed, damaged, or in an unknown encoding.
        Retryable: SOURCE_UNAVAILABLE, it ended before its end.
        httpcore.NetworkError, ProtocolError, TimeoutException: the connection failed.
    """
    encoding = headers.get("content-encoding", "")
    decompressor = _decompressor(encoding)
    if decompressor is None:
        raise _malformed(f"{source} answered in a content encoding that was not asked for")
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise _too_large(source, bytes_max)
    content = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            for piece in decompressor.steps(chunk):
                content += piece
                if max(len(content), received) > bytes_max:
                    raise _too_large(source, bytes_max)
                if len(content) > max(_RATIO_FROM_BYTES, received * RATIO_MAX):
                    raise _malformed(f"{source} answered a body that is compressed more than {RATIO_MAX} times")
        except ValueError as error:
            raise _malformed(f"{source} answered a compressed body with {error}") from error
    if not decompressor.finished():
        raise Retryable("SOURCE_UNAVAILABLE", f"{source} ended its compressed answer before its end")
    return bytes(content)


def _too_large(source: str, bytes_max: int) -> Fatal:
    return _malformed(
        f"{source} answered more than {bytes_max} bytes for one page; ask for smaller pages, or raise "
        "TECHAURA_SYNC_HTTP_PAGE_BYTES_MAX"
    )


def _malformed(message: str) -> Fatal:
    return Fatal("SOURCE_MALFORMED", message, category="parsing")
