"""A file that is open for reading, and what tells that it is still the one that was opened."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from server.core.errors import RetryableError
from server.core.reasons import Category, Reason

_SAMPLE_BYTES: Final = 64 * 1024
_DIGEST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells that a file is still the one that was opened."""

    size_bytes: int
    mtime_ns: int
    # Not compared: they move when an open file is replaced by another one, which does not touch what is being read.
    ctime_ns: int = field(compare=False)
    link_count: int = field(compare=False)
    inode: int
    device: int


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A regular file inside the data roots, open for reading.

    Args:
        name: file name, for people (`shown_name`).
        path: where it was found.
        descriptor: owned by whoever holds this; close it with `close`.
        compression: none, gzip, zstd or zip.
        state: at the time of opening.
    """

    name: str
    path: Path
    descriptor: int
    compression: str
    state: FileState

    def check_unchanged(self) -> None:
        """Make sure that the file is still what it was.

        The time of the last write can be set back, the kernel's own (ctime) cannot. That one moves also when the file is
        renamed, linked or replaced while it is open, which leaves its content alone; where none of these explains it, the
        content may be another one.

        Raises:
            RetryableError: SOURCE_CHANGED.
        """
        now = state_of(self.descriptor)
        if now != self.state:
            raise changed(self.name)
        if now.ctime_ns != self.state.ctime_ns and now.link_count == self.state.link_count and self._is_where_it_was():
            raise changed(self.name)

    def _is_where_it_was(self) -> bool:
        try:
            found = self.path.stat(follow_symlinks=False)
        except OSError:
            return False
        return (found.st_ino, found.st_dev) == (self.state.inode, self.state.device)

    def fingerprint(self) -> str:
        """Changes when the content does: size, times of change, inode, and a digest of both ends.

        The second time is the kernel's own, which nobody can set back.
        """
        size = self.state.size_bytes
        digest = hashlib.blake2b(digest_size=16)
        digest.update(
            repr((self.state.size_bytes, self.state.mtime_ns, self.state.ctime_ns, self.state.inode)).encode()
        )
        digest.update(os.pread(self.descriptor, _SAMPLE_BYTES, 0))
        digest.update(os.pread(self.descriptor, _SAMPLE_BYTES, max(0, size - _SAMPLE_BYTES)))
        return digest.hexdigest()

    async def add_content(self, digest: hashlib.blake2b) -> None:
        """Add the whole content to a digest. What else reads the file is not disturbed.

        Raises:
            RetryableError: SOURCE_CHANGED, when the file is no longer what it was; an OSError of the disk comes as it is.
        """
        for at in range(0, self.state.size_bytes, _DIGEST_BYTES):
            digest.update(await asyncio.to_thread(os.pread, self.descriptor, _DIGEST_BYTES, at))
        self.check_unchanged()

    def close(self) -> None:
        """Close the descriptor. Call once."""
        os.close(self.descriptor)


def state_of(descriptor: int) -> FileState:
    """The state of an open file."""
    found = os.fstat(descriptor)
    return FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_nlink, found.st_ino, found.st_dev)


def changed(name: str) -> RetryableError:
    """The error for a file that changed while it was read."""
    return RetryableError(
        Reason.SOURCE_CHANGED,
        f"{name} changed while it was read; the rows that are committed stay, and the next attempt starts over",
        category=Category.PROCESSING,
    )
