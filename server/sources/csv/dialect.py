"""The dialect of one file in working bytes: what separates, quotes and escapes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from server.core.errors import InvalidRequestError
from server.sources.csv.encodings import Encoding, may_be_trail_byte
from server.sources.csv.options import CsvOptions

LF: Final = 10
CR: Final = 13
NO_BYTE: Final = -1

# How a quote stands inside a quoted field:
#   double   written twice
#   escape   after the escape character
#   none     not at all; a quote that neither a delimiter nor a line break follows is part of the value
EscapeRule = Literal["double", "escape", "none"]


@dataclass(frozen=True)
class Dialect:
    """What the scanners need to know. Not slotted: it keeps its compiled pattern.

    Args:
        delimiter: working bytes, at least one.
        quote: byte around fields, or -1.
        escape: byte that takes away the meaning of a quote, a delimiter, a line break or itself behind it, or -1.
        rule: how a quote stands inside a quoted field.
        comment: working bytes that begin a line to leave out; empty for none.
        keep_stray: whether quotes in wrong places are part of the value.
    """

    delimiter: bytes = b","
    quote: int = 34
    escape: int = NO_BYTE
    rule: EscapeRule = "double"
    comment: bytes = b""
    keep_stray: bool = False

    @cached_property
    def marks(self) -> re.Pattern[bytes]:
        """What ends a stretch of unquoted fields, or is wrong in it."""
        return re.compile(b"[" + re.escape(b"\r\n" + self._own_bytes) + b"]")

    @cached_property
    def stops(self) -> re.Pattern[bytes]:
        """What ends a single unquoted field, or is wrong in it."""
        own = b"|[" + re.escape(self._own_bytes) + b"]" if self._own_bytes else b""
        return re.compile(re.escape(self.delimiter) + own)

    @cached_property
    def quoted_rest(self) -> re.Pattern[bytes]:
        """The rest of a quoted field, up to and with the quote that may close it."""
        quote = re.escape(bytes([self.quote]))
        if self.rule == "escape":
            escape = re.escape(bytes([self.escape]))
            plain = b"[^" + quote + escape + b"]*+"
            return re.compile(plain + b"(?:" + escape + b"." + plain + b")*+" + quote, re.DOTALL)
        plain = b"[^" + quote + b"]*+"
        pairs = b"(?:" + quote * 2 + plain + b")*+" if self.rule == "double" else b""
        return re.compile(plain + pairs + quote)

    @property
    def _own_bytes(self) -> bytes:
        """The quote and the escape, as far as there are any."""
        return bytes(byte for byte in (self.quote, self.escape) if byte != NO_BYTE)

    @cached_property
    def escaped(self) -> re.Pattern[bytes]:
        """An escape that acts: the byte after it has a meaning that it takes away. Any other escape is text."""
        special = bytes([self.quote]) if self.quote != NO_BYTE else b""
        special += bytes([self.escape, CR, LF]) + self.delimiter[:1]
        return re.compile(re.escape(bytes([self.escape])) + b"([" + re.escape(special) + b"])")

    @property
    def keeps_inner_quotes(self) -> bool:
        """Whether a quote inside a quoted field that nothing ends there is part of the value."""
        return self.keep_stray or self.rule == "none"


def dialect_of(options: CsvOptions, delimiter: str, encoding: Encoding) -> Dialect:
    """The dialect that options ask for, in the bytes of one file.

    Args:
        options: the request's.
        delimiter: the declared or detected one.
        encoding: the file's.

    Raises:
        InvalidRequestError: INVALID_OPTION; the encoding cannot write a character, or writes one in bytes that may be part
            of other characters.
    """
    quote = ord(options.quote) if options.quote else NO_BYTE
    escape = NO_BYTE
    rule: EscapeRule = "double"
    if options.escape == "":
        rule = "none"
    elif options.escape is not None and options.escape != options.quote:
        rule, escape = "escape", ord(options.escape)
    if not encoding.tells_ascii_apart:
        for name, text in (("delimiter", delimiter), ("quote", options.quote), ("escape", options.escape or "")):
            if any(may_be_trail_byte(ord(character)) for character in text):
                raise _unwritable(name, encoding)
    return Dialect(
        delimiter=_encoded("delimiter", delimiter, encoding),
        quote=quote,
        escape=escape,
        rule=rule,
        comment=_encoded("commentPrefix", options.comment_prefix or "", encoding),
        keep_stray=options.stray_quotes == "keep",
    )


def _encoded(name: str, text: str, encoding: Encoding) -> bytes:
    try:
        return encoding.encode(text)
    except UnicodeEncodeError as error:
        raise _unwritable(name, encoding) from error


def _unwritable(name: str, encoding: Encoding) -> InvalidRequestError:
    field_name = f"options.{name}"
    return InvalidRequestError(
        "INVALID_OPTION",
        f"{field_name} cannot be told apart in a file in {encoding.name}; choose another character",
        field=field_name,
    )
