"""Which workbook a file is by its bytes: a zip with the parts of one."""

from __future__ import annotations

import zipfile
from typing import Final

from server.sources.storage.streams import file_of
from server.sources.storage.zip_directory import open_zip

_ZIP: Final = b"PK\x03\x04"
_MIMETYPE_BYTES_MAX: Final = 200
_SPREADSHEET: Final = b"application/vnd.oasis.opendocument.spreadsheet"


def workbook_kind(descriptor: int, head: bytes) -> str | None:
    """Xlsx or ods; None for everything else, other documents among them.

    Args:
        descriptor: of the opened file.
        head: how it begins.
    """
    if not head.startswith(_ZIP):
        return None
    try:
        with open_zip(file_of(descriptor)) as archive:
            names = archive.NameToInfo
            if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
                return "xlsx"
            if "content.xml" in names and "mimetype" in names:
                with archive.open("mimetype") as member:
                    return "ods" if member.read(_MIMETYPE_BYTES_MAX).startswith(_SPREADSHEET) else None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return None
    return None
