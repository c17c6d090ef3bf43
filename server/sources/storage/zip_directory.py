"""Opens a zip archive whose directory is small enough to be read: zipfile makes an object of each of its entries."""

from __future__ import annotations

import zipfile
from typing import IO, Final

# More than twenty thousand entries, with names of usual length.
DIRECTORY_BYTES_MAX: Final = 2 * 1024 * 1024
_SIZE: Final = 5


class DirectoryTooLargeError(ValueError):
    """An archive lists more entries than are looked at."""


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """Open an archive.

    Raises:
        DirectoryTooLargeError
        zipfile.BadZipFile, OSError, ValueError, NotImplementedError: it is none that can be read.
    """
    # Found as zipfile finds it, so that both mean the same record.
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined] # noqa: SLF001
    if end is not None and end[_SIZE] > DIRECTORY_BYTES_MAX:
        raise DirectoryTooLargeError(f"the directory of the archive has {end[_SIZE]} bytes")
    return zipfile.ZipFile(file)
