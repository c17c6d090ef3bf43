"""Reads blocks from the files of a source, one file open at a time. Used by one thread at a time."""

from __future__ import annotations

from collections.abc import Sequence

from server.core.config import Settings
from server.core.errors import InvalidRequestError
from server.sources.csv.blocks import Limits
from server.sources.csv.cursor import Cursor
from server.sources.csv.file_format import FileBlock, OpenStream
from server.sources.csv.inspection import CsvFile, open_stream_of, unreadable
from server.sources.storage.opened_file import changed


class BlockReader:
    """The blocks of a source.

    Args:
        inspected: its files.
        held: the first one, if it is open.
    """

    def __init__(self, inspected: Sequence[CsvFile], held: OpenStream | None, settings: Settings) -> None:
        self._files = inspected
        self._settings = settings
        self._open: tuple[int, OpenStream] | None = None if held is None else (0, held)

    def read(self, cursor: Cursor, limits: Limits) -> tuple[Cursor, FileBlock | None]:
        """The block at a cursor or the first one after it that has records, and where it begins; None at the end.

        Raises:
            RetryableError: SOURCE_CHANGED; nothing of the block may be used. SOURCE_UNAVAILABLE.
            FatalError: SOURCE_MALFORMED
        """
        while cursor.file < len(self._files):
            block = self._read_at(cursor, limits)
            if block is None:
                cursor = cursor.next_file(self._files)
            elif block.part_count:
                return cursor, block
            else:
                # Blank lines and comments only.
                cursor = cursor.after(block)
        return cursor, None

    def _read_at(self, cursor: Cursor, limits: Limits) -> FileBlock | None:
        """The block at a cursor; None at the end of its file. The file is the same before and afterwards."""
        file = self._files[cursor.file]
        source = self._opened(cursor.file)
        source.opened.check_unchanged()
        try:
            block = file.read_block(source, cursor.place, limits)
        except OSError as error:
            raise unreadable(file.name) from error
        source.opened.check_unchanged()
        return block

    def _opened(self, index: int) -> OpenStream:
        """The file of that number, opened if it is not."""
        if self._open is not None and self._open[0] == index:
            return self._open[1]
        self.close()
        file = self._files[index]
        try:
            source = open_stream_of(file.path, self._settings)
        except InvalidRequestError as error:
            raise changed(file.name) from error
        self._open = (index, source)
        if source.opened.state != file.state:
            raise changed(file.name)
        return source

    def close(self) -> None:
        """Close the file that is open. Safe to call twice."""
        held, self._open = self._open, None
        if held is not None:
            held[1].close()
