"""Which format a file has: what the options say, else what its content says.

A name says something only where the content leaves it open: the first line of a file that ends in .ndjson may be broken.
An option that says nothing about the format is refused where it was set to something that would change the reading.
"""

from __future__ import annotations

from typing import Any, Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.core.reject_kinds import RejectKind
from server.sources.csv.options import AUTO, CsvOptions
from server.sources.exact_json.strict_json import JsonRefusedError, parse_line
from server.sources.storage import content_kind
from server.sources.storage.opened_file import OpenedFile
from server.sources.storage.workbook_kind import workbook_kind

# How much of a file's content is looked at.
LOOK_BYTES: Final = 64 * 1024
_LINE_ENDINGS: Final = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".ndjson.zst", ".jsonl.zst")
_MARK: Final = b"\xef\xbb\xbf"

_OF_TEXT: Final = frozenset({"delimiter", "quote", "escape", "stray_quotes", "missing_fields", "comment_prefix"})
_OF_HEADERS: Final = frozenset({"has_header", "header_lines", "preamble_lines"})
# Format -> what it is called, and the options that say nothing about it.
_MEANINGLESS: Final = {
    "csv": ("a CSV file", frozenset({"sheet"})),
    "xlsx": ("a workbook", _OF_TEXT | {"encoding"}),
    "ods": ("a workbook", _OF_TEXT | {"encoding"}),
    "parquet": ("a Parquet file", _OF_TEXT | _OF_HEADERS | {"sheet", "encoding"}),
    "ndjson": ("JSON lines", _OF_TEXT | _OF_HEADERS | {"sheet", "encoding"}),
}

# What a file that is read whole is called.
KINDS: Final = {"xlsx": content_kind.EXCEL, "ods": content_kind.OPEN_DOCUMENT, "parquet": content_kind.PARQUET}


def format_of(opened: OpenedFile, content: bytes, options: CsvOptions) -> str:
    """The format of a file.

    Args:
        opened: the file.
        content: how it begins, unpacked; LOOK_BYTES of it, or all.
        options: the request's.

    Raises:
        InvalidRequestError: INVALID_OPTION; an option that was set says nothing about the format.
    """
    found: str = options.format
    whole = reads_whole_file(opened.descriptor, content) if opened.compression == "none" else None
    if found == AUTO:
        is_lines = looks_like_lines(content) or opened.name.lower().endswith(_LINE_ENDINGS)
        found = whole or ("ndjson" if is_lines else "csv")
    elif found == "csv" and whole is not None:
        raise content_kind.refused(opened.name, KINDS[whole])
    check_options(found, options)
    return found


def reads_whole_file(descriptor: int, head: bytes) -> str | None:
    """The format of a file whose bytes are read here and there; None for one that is read as a stream."""
    return "parquet" if content_kind.binary_kind(head) is content_kind.PARQUET else workbook_kind(descriptor, head)


def check_options(name: str, options: CsvOptions) -> None:
    """Refuse what says nothing about a format.

    Raises:
        InvalidRequestError: INVALID_OPTION.
    """
    called, meaningless = _MEANINGLESS[name]
    for option in sorted(meaningless & options.model_fields_set):
        field = CsvOptions.model_fields[option]
        if _changes_nothing(option, getattr(options, option), field.default):
            continue
        path = f"options.{field.alias or option}"
        raise InvalidRequestError(
            Reason.INVALID_OPTION, f"{path} says nothing about {called}: leave it out", field=path
        )


def _changes_nothing(option: str, value: Any, default: Any) -> bool:
    if value in (default, AUTO):
        return True
    return option == "missing_fields" or (option == "encoding" and value.replace("_", "-") in ("utf-8", "utf-8-sig"))


def looks_like_lines(content: bytes) -> bool:
    """Whether the first two lines that are not blank are JSON objects; the second may be cut off by the look."""
    lines = [line for line in content.removeprefix(_MARK).split(b"\n") if line.strip()]
    if len(lines) < 2 or not _is_object(lines[0]):
        return False
    is_cut = len(content) >= LOOK_BYTES and len(lines) == 2
    return _is_object(lines[1]) or (is_cut and lines[1].lstrip().startswith(b"{"))


def _is_object(line: bytes) -> bool:
    try:
        return line.lstrip().startswith(b"{") and isinstance(parse_line(line.decode().strip(" \t\r")), dict)
    except JsonRefusedError as refused:
        return refused.kind != RejectKind.NOT_JSON
    except UnicodeDecodeError:
        return False
