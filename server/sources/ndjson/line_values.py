"""What one line holds: an object whose values become texts, or a reason why the line is rejected."""

from __future__ import annotations

from typing import Any, Final

from server.core.reasons import Category
from server.core.reject_kinds import RejectKind
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject
from server.sources.exact_json.json_values import type_name
from server.sources.exact_json.strict_json import JsonRefusedError, parse_line

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r"


def content_of(line: bytes) -> bytes:
    """A line without the blanks around it and the mark of a file that was put behind another one."""
    return line.removeprefix(BYTE_ORDER_MARK).strip(_BLANKS)


def shown(line: bytes) -> str:
    """The raw text of a line, for a person."""
    return line[: 4 * REJECT_RAW_CHARS_MAX].removesuffix(b"\r").decode("utf-8", "replace")[:REJECT_RAW_CHARS_MAX]


def object_of(content: bytes) -> dict[str, Any] | tuple[RejectKind | str, str]:
    """The object of a line; else the kind of fault, and a sentence."""
    try:
        value = parse_line(content.decode())
    except UnicodeDecodeError as error:
        return RejectKind.BAD_ENCODING, f"the line is no UTF-8 at its byte {error.start}"
    except JsonRefusedError as refused:
        return refused.kind, f"the line cannot be read: {refused.message}"
    if not isinstance(value, dict):
        return RejectKind.NOT_AN_OBJECT, f"the line is of type {type_name(value)}, and not an object"
    return value


def rejected(kind: RejectKind | str, message: str, line: int, offset: int, raw: bytes) -> Reject:
    """A line that is not loaded."""
    return Reject(
        kind=kind,
        category=Category.PARSING,
        message=message,
        line=line,
        byte_offset=offset,
        column=None,
        raw=shown(raw),
    )
