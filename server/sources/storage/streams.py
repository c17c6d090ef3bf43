"""Reads the bytes of one opened file from any offset on: plain, gzip, Zstandard, or one file of a zip.

Offsets are those of the decompressed content. A compressed stream only goes forward: a resumed run inflates the beginning
again and throws it away. Two caps stop a bomb before it is in memory: the content's total size, and its ratio to the
compressed bytes read so far. A stream that ends in the middle raises; it never looks like the end of the file.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final, Protocol

import zstandard

from server.core.errors import FatalError, InvalidRequestError
from server.core.reasons import Category, Reason
from server.sources.storage.zip_directory import DirectoryTooLargeError, open_zip
from server.sources.storage.zip_members import chosen_member

_CHUNK_BYTES: Final = 256 * 1024
_INPUT_BYTES: Final = 64 * 1024
# The ratio says nothing about a small file: a header repeated a few times compresses well.
_RATIO_FREE_BYTES: Final = 4 * 1024 * 1024
_ZSTD_WINDOW_BYTES_MAX: Final = 128 * 1024 * 1024
# Blocks hold up to 128 KiB; a file of countless tiny ones is made to keep its reader busy.
_ZSTD_BLOCKS_FREE: Final = 100_000
_ZSTD_BLOCK_BYTES_MEAN_MIN: Final = 16
# The same of members and frames: programs that compress in parallel make one of each thousand bytes or more.
_PARTS_FREE: Final = 10_000
_PART_BYTES_MEAN_MIN: Final = 64


@dataclass(frozen=True, slots=True)
class Caps:
    """How much a compressed file may hold.

    Args:
        content_bytes_max: decompressed bytes.
        ratio_max: decompressed bytes per compressed byte.
    """

    content_bytes_max: int
    ratio_max: float


class ByteSource(Protocol):
    """Content that is read forward."""

    @property
    def bytes_total(self) -> int:
        """Size of the content; 0 when it is not known beforehand."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on; fewer than `count` only at the end.

        Offsets may not go back by more than what the last read returned.

        Raises:
            FatalError: the content is damaged or too large.
        """
        ...

    def close(self) -> None:
        """Let go of what the stream holds; the file stays open."""
        ...


class PlainSource:
    """An uncompressed file."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self.bytes_total = size_bytes

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on; fewer than `count` only at the end."""
        parts: list[bytes] = []
        while count > 0:
            part = os.pread(self._descriptor, count, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Nothing to let go of."""


class Inflater(Protocol):
    """A decompressor that is asked for its next bytes."""

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; empty at the end of a stream that is whole."""
        ...

    def compressed_bytes_read(self) -> int:
        """Compressed bytes taken in so far."""
        ...


class InflatedSource:
    """A compressed file, inflated as it is read."""

    def __init__(self, start: Callable[[], Inflater], caps: Caps, *, name: str, bytes_total: int = 0) -> None:
        self._start = start
        self._caps = caps
        self._name = name
        self.bytes_total = bytes_total
        self._restart()

    def _restart(self) -> None:
        self._inflater = self._start()
        self._buffer = bytearray()
        self._buffer_offset = 0
        self._ended = False

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on; fewer than `count` only at the end."""
        if offset < self._buffer_offset:
            self._restart()
        while True:
            passed = min(offset - self._buffer_offset, len(self._buffer))
            if passed:
                del self._buffer[:passed]
                self._buffer_offset += passed
            if self._ended or (self._buffer_offset == offset and len(self._buffer) >= count):
                return bytes(self._buffer[:count]) if self._buffer_offset == offset else b""
            self._fill()

    def _fill(self) -> None:
        try:
            part = self._inflater.read(_CHUNK_BYTES)
        except (zlib.error, zstandard.ZstdError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise FatalError(
                Reason.SOURCE_MALFORMED,
                f"{self._name}: the compressed content is damaged or cut off; write the file again",
                category=Category.PARSING,
            ) from error
        self._ended = not part
        self._buffer += part
        total = self._buffer_offset + len(self._buffer)
        if total > self._caps.content_bytes_max:
            raise self._too_large(f"holds more than {self._caps.content_bytes_max} bytes")
        taken = max(self._inflater.compressed_bytes_read(), 1)
        if total > _RATIO_FREE_BYTES and total > taken * self._caps.ratio_max:
            raise self._too_large(f"grows to more than {self._caps.ratio_max:g} times its size")

    def _too_large(self, what: str) -> FatalError:
        return FatalError(
            Reason.SOURCE_MALFORMED,
            f"{self._name}: the compressed content {what}, which is refused",
            category=Category.PARSING,
        )

    def close(self) -> None:
        """Drop what was read ahead."""
        self._buffer = bytearray()
        self._ended = True


class _Descriptor:
    """The compressed bytes of an opened file, from its start on, as a readable object of their own position."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self.position = 0
        self.furthest = 0

    def read(self, count: int = -1) -> bytes:
        part = os.pread(self._descriptor, self._size if count < 0 else count, self.position)
        self.position += len(part)
        self.furthest = max(self.furthest, self.position)
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self._size}[whence]
        self.position = max(0, base + offset)
        return self.position

    def tell(self) -> int:
        return self.position

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """The file belongs to somebody else."""


class _Gzip:
    """gzip, of one member or several."""

    def __init__(self, descriptor: int) -> None:
        self._input = _Descriptor(descriptor)
        self._member = zlib.decompressobj(31)
        self._pending = b""
        self._members = 1

    def read(self, count: int) -> bytes:
        while True:
            if self._member.eof:
                self._pending = self._member.unused_data or self._input.read(_INPUT_BYTES)
                # Padding with zeros after the last member is common on tapes and harmless.
                self._pending = self._pending.lstrip(b"\0")
                if not self._pending:
                    return b""
                self._members += 1
                if self._members > _PARTS_FREE and self._members * _PART_BYTES_MEAN_MIN > self.compressed_bytes_read():
                    raise zlib.error("too many members, and next to nothing in them")
                self._member = zlib.decompressobj(31)
            elif not self._pending:
                self._pending = self._input.read(_INPUT_BYTES)
                if not self._pending:
                    raise EOFError("gzip stream ends early")
            part = self._member.decompress(self._pending, count)
            self._pending = self._member.unconsumed_tail
            if part:
                return part

    def compressed_bytes_read(self) -> int:
        return self._input.position - len(self._pending)


class _Zstd:
    """Zstandard, of one frame or several."""

    def __init__(self, descriptor: int) -> None:
        self._input = _Descriptor(descriptor)
        self._reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).stream_reader(
            _as_file(self._input), read_size=_INPUT_BYTES, read_across_frames=True, closefd=False
        )

    def read(self, count: int) -> bytes:
        part: bytes = self._reader.read(count)
        return part

    def compressed_bytes_read(self) -> int:
        return self._input.position


class _ZipMember:
    """The one member of a zip file. zipfile checks its length and checksum."""

    def __init__(self, descriptor: int, member: zipfile.ZipInfo) -> None:
        self._input = _Descriptor(descriptor)
        self._archive = open_zip(_as_file(self._input))
        self._member = member
        self._handle = self._archive.open(member)
        # Behind the member's own header.
        self._start = self._input.position
        self._read_bytes = 0

    def read(self, count: int) -> bytes:
        part = self._handle.read(count)
        self._read_bytes += len(part)
        if not part and self._read_bytes != self._member.file_size:
            raise EOFError("zip member ends early")
        return part

    def compressed_bytes_read(self) -> int:
        return max(0, self._input.position - self._start)


def file_of(descriptor: int) -> IO[bytes]:
    """The bytes of an opened file as a file of their own position; the descriptor stays with the caller."""
    return _as_file(_Descriptor(descriptor))


def _as_file(handle: Any) -> IO[bytes]:
    """A `_Descriptor` has the part of a file's methods that zipfile calls."""
    file: IO[bytes] = handle
    return file


def open_stream(descriptor: int, name: str, compression: str, caps: Caps) -> ByteSource:
    """The content of an opened file.

    Args:
        descriptor: stays with the caller.
        name: shown in messages.
        compression: none, gzip, zstd or zip.
        caps: for compressed files.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED; it is no such file, or a zip without one file to read.
    """
    size = os.fstat(descriptor).st_size
    if compression == "none":
        return PlainSource(descriptor, size)
    if compression == "gzip":
        return InflatedSource(lambda: _Gzip(descriptor), caps, name=name)
    if compression == "zstd":
        _check_zstd_frames(descriptor, size, name)
        return InflatedSource(lambda: _Zstd(descriptor), caps, name=name)
    member = _only_member(descriptor, size, name)
    return InflatedSource(lambda: _ZipMember(descriptor, member), caps, name=name, bytes_total=member.file_size)


def _only_member(descriptor: int, size: int, name: str) -> zipfile.ZipInfo:
    """The file of a zip that is to be read."""
    try:
        with open_zip(_as_file(_Descriptor(descriptor))) as archive:
            return chosen_member(archive, size, name)
    except DirectoryTooLargeError as error:
        raise _malformed(
            f"{name}: a zip that lists more entries than are looked at; it must hold exactly one CSV file: pack that one alone"
        ) from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise _malformed(f"{name}: not a zip file that can be read; it is damaged or cut off") from error


def _check_zstd_frames(descriptor: int, size: int, name: str) -> None:
    """Walk the block headers, so that a cut-off file is found before its first row is loaded.

    The library cannot tell a stream that ends early from one that ends. The layout of frames is that of RFC 8878.
    """
    offset = blocks = frames = 0
    while offset < size:
        frames += 1
        if frames > _PARTS_FREE and frames * _PART_BYTES_MEAN_MIN > offset:
            raise _malformed(f"{name}: the compressed content is cut into too many small frames")
        head = os.pread(descriptor, 18, offset)
        if len(head) >= 8 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18":
            offset += 8 + int.from_bytes(head[4:8], "little")
            continue
        try:
            header_bytes = zstandard.frame_header_size(head)
            has_checksum = zstandard.get_frame_parameters(head).has_checksum
        except zstandard.ZstdError as error:
            raise _malformed(f"{name}: not a Zstandard file, or cut off") from error
        offset += header_bytes
        last = False
        while not last:
            block = os.pread(descriptor, 3, offset)
            if len(block) < 3:
                raise _malformed(f"{name}: the compressed content is cut off; write the file again")
            value = int.from_bytes(block, "little")
            last = bool(value & 1)
            blocks += 1
            if blocks > _ZSTD_BLOCKS_FREE and blocks * _ZSTD_BLOCK_BYTES_MEAN_MIN > offset:
                raise _malformed(f"{name}: the compressed content is cut into too many small blocks")
            offset += 3 + (1 if (value >> 1) & 3 == 1 else value >> 3)
        offset += 4 if has_checksum else 0
    if offset > size:
        raise _malformed(f"{name}: the compressed content is cut off; write the file again")


def _malformed(message: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.SOURCE_MALFORMED, message, field="sourceIdentifier")
