"""The parts of a workbook: a zip of XML documents, read piece by piece.

Before anything is unpacked the declared sizes are held against the caps of compressed files; zipfile hands out no more than
a part declares, and checks it. A part with a document type is refused: there entities would grow it.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final, Protocol
from xml.parsers import expat

from server.core.config import Settings
from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.core.texts import quoted
from server.sources.storage.streams import file_of
from server.sources.storage.zip_directory import DirectoryTooLargeError, open_zip

_PIECE_BYTES: Final = 64 * 1024
_PARTS_MAX: Final = 10_000
# The ratio says nothing about a small part.
_RATIO_FREE_BYTES: Final = 4 * 1024 * 1024
_PREFIX: Final = re.compile(r"^.*:")


class Handler(Protocol):
    """What is told of a document, in its order."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        ...

    def end(self, name: str) -> None:
        """An element ends."""
        ...

    def data(self, text: str) -> None:
        """Text."""
        ...


class _LocalNames(dict[str, str]):
    """Names without their prefix, each worked out once."""

    def __missing__(self, name: str) -> str:
        found = self[name] = _PREFIX.sub("", name)
        return found


class Archive:
    """An opened workbook.

    Args:
        descriptor: of the file; stays with the caller.
        name: the file's.
        what: what it is called, such as an Excel workbook.
        settings: limits.

    Raises:
        FatalError: SOURCE_MALFORMED; it is no zip, or beyond the caps.
    """

    def __init__(self, descriptor: int, name: str, what: str, settings: Settings) -> None:
        self.name = name
        self.what = what
        self._read_bytes = self._whole_bytes = 0
        try:
            self._zip = open_zip(file_of(descriptor))
        except DirectoryTooLargeError as error:
            raise self.malformed("of more parts than are looked at, which is refused") from error
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self.malformed("that is damaged or cut off: save it again") from error
        members = self._zip.infolist()
        whole = sum(member.file_size for member in members)
        if len(members) > _PARTS_MAX or whole > settings.csv_decompressed_bytes_max:
            raise self.malformed(f"of {len(members)} parts and {whole} bytes, which is refused")
        for member in members:
            if member.flag_bits & 0x1:
                raise self.malformed("with a password: save it without one")
            grown = member.compress_size * settings.csv_compression_ratio_max
            if member.file_size > max(_RATIO_FREE_BYTES, grown):
                raise self.malformed(
                    f"that grows to more than {settings.csv_compression_ratio_max:g} times its size, which is refused"
                )

    def has(self, path: str) -> bool:
        """Whether there is such a part."""
        return path in self._zip.NameToInfo

    def text_of(self, path: str, bytes_max: int) -> bytes:
        """The beginning of a part."""
        with self._zip.open(path) as part:
            return part.read(bytes_max)

    def walk(self, path: str, handler: Handler, *, keep_prefixes: bool = False) -> None:
        """Read a whole part."""
        for _piece in self.pieces(path, handler, keep_prefixes=keep_prefixes):
            pass

    def pieces(self, path: str, handler: Handler, *, keep_prefixes: bool = False) -> Iterator[None]:
        """Read a part, with a stop after each piece.

        Raises:
            FatalError: SOURCE_MALFORMED; the part is missing, damaged, or no XML.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        names = _LocalNames()

        def start(name: str, attributes: dict[str, str]) -> None:
            handler.start(names[name], attributes)

        def end(name: str) -> None:
            handler.end(names[name])

        parser.StartElementHandler = handler.start if keep_prefixes else start
        parser.EndElementHandler = handler.end if keep_prefixes else end
        parser.CharacterDataHandler = handler.data
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        try:
            self._whole_bytes = self._zip.getinfo(path).file_size
            self._read_bytes = 0
            with self._zip.open(path) as part:
                while data := part.read(_PIECE_BYTES):
                    self._read_bytes += len(data)
                    parser.Parse(data, False)
                    yield
            parser.Parse(b"", True)
            yield
        except (KeyError, expat.ExpatError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
            raise self.malformed("that is damaged or cut off: save it again") from error

    def progress(self, size_bytes: int) -> int:
        """How much of a file of that size the part that is being read stands for so far."""
        return size_bytes * self._read_bytes // self._whole_bytes if self._whole_bytes else 0

    def _refuse_doctype(self, *_parts: object) -> None:
        raise self.malformed("with a document type in it, which is refused")

    def malformed(self, how: str) -> FatalError:
        """The refusal of the file."""
        return FatalError(
            Reason.SOURCE_MALFORMED, f"{quoted(self.name)} is {self.what} {how}", category=Category.PARSING
        )
