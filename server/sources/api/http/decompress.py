"""Decompressors of response bodies whose every step has a bounded size: gzip, deflate, br and zstd.

A step gives at most a few megabytes, so that a bomb is noticed before it is held in memory. Limits on the whole are
body.py's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import brotli
import zstandard

ACCEPT_ENCODING: Final = "gzip, deflate, br, zstd"
_STEP_BYTES: Final = 256 * 1024
# A zstd block of 4 bytes may hold 128 KiB: so many bytes at a time give at most 4 MiB.
_ZSTD_SLICE_BYTES: Final = 128
# RFC 9659: what a zstd response may ask a reader to hold.
_ZSTD_WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024


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


class _Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        self._inflater = brotli.Decompressor()
        self._started = False

    def steps(self, data: bytes) -> Iterator[bytes]:
        self._started = self._started or bool(data)
        try:
            if data and self._inflater.is_finished():
                raise ValueError("data after the end of the stream")
            piece = self._inflater.process(data, output_buffer_limit=_STEP_BYTES)
            # It takes more data before all of its output is out: that is so only once a step gives nothing.
            while piece or not self._inflater.can_accept_more_data():
                yield piece
                piece = self._inflater.process(b"", output_buffer_limit=_STEP_BYTES)
        except brotli.error as error:
            raise ValueError("damaged data") from error

    def finished(self) -> bool:
        return not self._started or bool(self._inflater.is_finished())


class _Zstd:
    """zstd (RFC 8878), one frame or several."""

    def __init__(self) -> None:
        self._made = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
        self._inflater = self._made.decompressobj()
        self._started = False

    def steps(self, data: bytes) -> Iterator[bytes]:
        try:
            for start in range(0, len(data), _ZSTD_SLICE_BYTES):
                piece = data[start : start + _ZSTD_SLICE_BYTES]
                while piece:
                    if self._inflater.eof:
                        self._inflater = self._made.decompressobj()
                    self._started = True
                    yield self._inflater.decompress(piece)
                    piece = self._inflater.unused_data
        except zstandard.ZstdError as error:
            raise ValueError("damaged data") from error

    def finished(self) -> bool:
        return not self._started or self._inflater.eof


def decompressor_for(encoding: str) -> Decompressor | None:
    """The decompressor of a Content-Encoding; None for one that was not asked for, which several at once are."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Identity()
    if name in ("gzip", "x-gzip", "deflate"):
        return _Zlib(gzip=name != "deflate")
    if name == "br":
        return _Brotli()
    return _Zstd() if name == "zstd" else None
