"""The dialect of one file in working bytes: what separates, quotes and escapes."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.sources.csv.encodings import Encoding, may_be_trail_byte
from server.sources.csv.options import CsvOptions

LF: Final = 10
CR: Final = 13
NO_BYTE: Final = -1
ANY_NUMBER: Final = 1 << 30
_ASCII_BLANKS: Final = (b" ", b"\t", b"\v", b"\f")
# No-break spaces, and the space of East Asian scripts.
_WIDE_BLANKS: Final = "\u00a0\u2007\u202f\u3000"

_Flags = npt.NDArray[np.bool_]

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
        missing_max: how many fields a record may lack at its end; they are empty.
        wide_blanks: white space outside ASCII, such as the no-break space.
        mark: the byte order mark, which is no text at a record's start; empty where the encoding has none.
        cr_ends_lines: whether a CR without LF ends a line whatever is on its sides, as in a file that has no other breaks.
    """

    delimiter: bytes = b","
    quote: int = 34
    escape: int = NO_BYTE
    rule: EscapeRule = "double"
    comment: bytes = b""
    keep_stray: bool = False
    missing_max: int = 0
    wide_blanks: tuple[bytes, ...] = ()
    mark: bytes = b""
    cr_ends_lines: bool = True

    def blank_record(self, width: int) -> re.Pattern[bytes]:
        """A record whose fields are all empty or white space.

        Args:
            width: of a good record. In a file of one column an empty value in quotes is meant: there is no other way to
                write it.
        """
        return self._blank_record if width > 1 else self._blank_line

    @cached_property
    def _blank_line(self) -> re.Pattern[bytes]:
        return self._of_blank_fields(quote=NO_BYTE)

    @cached_property
    def _blank_record(self) -> re.Pattern[bytes]:
        return self._of_blank_fields(self.quote)

    def _of_blank_fields(self, quote: int) -> re.Pattern[bytes]:
        """Fields of blanks, linear in time and without memory for each byte.

        Only the outermost repetition is possessive: before Python 3.11.5 one whose body chooses by itself forgets matches
        (gh-106052), and blank records of a file would be read as rows.
        """
        delimiter = re.escape(self.delimiter)
        outside = self._run_of_blanks(b"", not_at=delimiter)
        field = outside
        if quote != NO_BYTE:
            mark = re.escape(bytes([quote]))
            field += b"(?:" + mark + self._run_of_blanks(b"\\r\\n") + mark + outside + b")?"
        return re.compile(field + b"(?:" + delimiter + field + b")*+")

    def _run_of_blanks(self, more: bytes, *, not_at: bytes = b"") -> bytes:
        """A pattern of any number of blanks, each of them in one way only.

        Args:
            more: further bytes that count as blanks, as they stand in a class.
            not_at: a pattern at which no blank begins; empty for none.
        """
        ahead = b"(?!" + not_at + b")" if not_at else b""
        single = b"[" + b"".join(map(re.escape, _ASCII_BLANKS)) + more + b"]"
        is_near = not_at and any(blank in self.delimiter for blank in _ASCII_BLANKS)
        # The short form is one loop in C, and right wherever no delimiter has a blank in it.
        run = b"(?:" + ahead + single + b")*" if is_near else single + b"*"
        wide = b"|".join(map(re.escape, self.wide_blanks))
        return run + (b"(?:" + ahead + b"(?:" + wide + b")" + run + b")*" if wide else b"")

    @cached_property
    def blank_opens(self) -> _Flags:
        """Which bytes a piece of such a record may begin with; only its first two are looked up."""
        return _lookup(
            *(blank[0] for blank in self._blanks), *self.delimiter, self.quote, CR, LF, continued=self._blanks
        )

    @cached_property
    def blank_closes(self) -> _Flags:
        """Which bytes such a record may end with."""
        return _lookup(*(blank[-1] for blank in self._blanks), self.delimiter[-1], self.quote)

    @property
    def _blanks(self) -> tuple[bytes, ...]:
        return (*_ASCII_BLANKS, *self.wide_blanks)

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
        missing_max=ANY_NUMBER if options.missing_fields == "empty" else 0,
        wide_blanks=tuple(_encodable(_WIDE_BLANKS, encoding)),
        mark=codecs.BOM_UTF8 if encoding.working_name == "utf-8" else b"",
    )


def _encodable(characters: str, encoding: Encoding) -> Iterator[bytes]:
    """The characters that the encoding can write, in working bytes."""
    for character in characters:
        with contextlib.suppress(UnicodeEncodeError):
            yield encoding.encode(character)


def _lookup(*numbers: int, continued: Iterable[bytes] = ()) -> _Flags:
    """A table of the bytes with these numbers, and of those that continue a character."""
    table = np.zeros(256, np.bool_)
    table[[number for number in numbers if number != NO_BYTE]] = True
    for text in continued:
        table[list(text)] = True
    return table


def _encoded(name: str, text: str, encoding: Encoding) -> bytes:
    try:
        return encoding.encode(text)
    except UnicodeEncodeError as error:
        raise _unwritable(name, encoding) from error


def _unwritable(name: str, encoding: Encoding) -> InvalidRequestError:
    field_name = f"options.{name}"
    return InvalidRequestError(
        Reason.INVALID_OPTION,
        f"{field_name} cannot be told apart in a file in {encoding.name}; choose another character",
        field=field_name,
    )
