"""CSV as a file format."""

from __future__ import annotations

from server.core.config import Settings
from server.sources.csv.blocks import read_block
from server.sources.csv.file_beginning import read_beginning
from server.sources.csv.file_format import OpenStream, Table
from server.sources.csv.options import CsvOptions


def begin(source: OpenStream, options: CsvOptions, settings: Settings) -> Table:
    """Find encoding, dialect and columns.

    Raises:
        InvalidRequestError, FatalError: see `read_beginning`.
    """
    opened = source.opened
    is_unpacked = opened.compression != "none"
    beginning = read_beginning(source.stream, opened.name, options, settings, is_unpacked=is_unpacked)
    return Table(beginning, lambda at, place, limits: read_block(at.stream, beginning, place, limits))
