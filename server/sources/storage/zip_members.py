"""Which file of a zip archive is the one to read, and which archives are documents of another kind.

What systems add by themselves is no member: a Mac's folder of resource forks, the notes that file managers keep. Of several
files the only one whose name ends in .csv is taken.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.core.texts import listed, quoted
from server.sources.storage import content_kind
from server.sources.storage.content_kind import Kind

_SYSTEM_FOLDERS: Final = frozenset(
    {
        "__macosx",
        ".appledouble",
        ".fseventsd",
        ".spotlight-v100",
        ".trashes",
        ".temporaryitems",
        "@eadir",
        "$recycle.bin",
    }
)
_SYSTEM_FILES: Final = frozenset(
    {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".localized", ".directory", "icon\r"}
)
_MIMETYPE_BYTES_MAX: Final = 200


def chosen_member(archive: zipfile.ZipFile, size: int, name: str) -> zipfile.ZipInfo:
    """The file of an archive that is to be read.

    Args:
        archive: the opened archive.
        size: its bytes.
        name: the archive's, for messages.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED; it is a document of another kind, there is not exactly one such file, or
            that file is encrypted or packed in another way.
        zipfile.BadZipFile: the archive is damaged.
    """
    members = [member for member in archive.infolist() if not member.is_dir() and not _is_of_system(member.filename)]
    kind = _document_kind(archive, [member.filename for member in members])
    if kind is not None:
        raise content_kind.refused(name, kind)
    tables = [member for member in members if member.filename.lower().endswith(".csv")]
    chosen = members if len(members) == 1 else tables
    if len(chosen) != 1:
        raise _several(name, members, tables)
    member = chosen[0]
    if member.flag_bits & 0x1:
        raise _malformed(f"{quoted(name)}: {quoted(member.filename)} is encrypted; store it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.compress_size > size:
        raise _malformed(
            f"{quoted(name)}: not a zip file that can be read; pack it anew, by the usual method (deflate)"
        )
    return member


def _is_of_system(path: str) -> bool:
    parts = [part.lower() for part in re.split(r"[/\\]", path)]
    return parts[-1].startswith("._") or parts[-1] in _SYSTEM_FILES or not _SYSTEM_FOLDERS.isdisjoint(parts[:-1])


def _document_kind(archive: zipfile.ZipFile, names: Sequence[str]) -> Kind | None:
    """The office document that an archive is, by the names in it."""
    every = set(names)
    if "mimetype" in every and "META-INF/manifest.xml" in every:
        return content_kind.OPEN_DOCUMENT
    if "mimetype" in every and _begins(archive, "mimetype", b"application/vnd.oasis.opendocument"):
        return content_kind.OPEN_DOCUMENT
    if any(path.startswith("Index/") and path.endswith(".iwa") for path in names) or "Index.zip" in every:
        return content_kind.NUMBERS
    folders = {path.partition("/")[0] for path in names if "/" in path}
    if "[Content_Types].xml" in every or "_rels/.rels" in every:
        if "word" in folders:
            return content_kind.WORD
        return content_kind.POWERPOINT if "ppt" in folders else content_kind.EXCEL
    return content_kind.EXCEL if "xl/workbook.xml" in every or "xl/workbook.bin" in every else None


def _begins(archive: zipfile.ZipFile, path: str, expected: bytes) -> bool:
    with archive.open(path) as member:
        return member.read(_MIMETYPE_BYTES_MAX).startswith(expected)


def _several(name: str, members: Sequence[zipfile.ZipInfo], tables: Sequence[zipfile.ZipInfo]) -> InvalidRequestError:
    names = f": {listed(member.filename for member in members)}" if members else ""
    several = f", and {len(tables)} of them end in .csv" if 1 < len(tables) < len(members) else ""
    return _malformed(
        f"{quoted(name)} holds {len(members)} files{names}{several}; a zip must hold exactly one CSV file: pack the one"
        " to be read alone"
    )


def _malformed(message: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.SOURCE_MALFORMED, message, field="sourceIdentifier")
