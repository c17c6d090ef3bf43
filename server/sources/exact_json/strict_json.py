"""Parses JSON so that nothing of it is lost: numbers keep their digits, and what cannot be kept exactly is refused.

Refused are NaN, 1e999, a key twice in one object, half a surrogate pair, and nesting deeper than 64.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from server.core.reject_kinds import RejectKind
from server.sources.exact_json.json_index import JsonIndex
from server.sources.exact_json.json_values import NumberText

DEPTH_MAX: Final = 64
# Python knows these too, but they are ways of writing text in text, and no character set of an answer.
_NO_CHARSETS: Final = frozenset(
    {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "utf_7", "utf7", "undefined"}
)
_CUT_REASONS: Final = frozenset({"unexpected end of data", "truncated data"})
_SPACE: Final = re.compile(r"[ \t\n\r]*")
# What is left where a text ends inside a word, a number, or an escape.
_BEGUN: Final = re.compile(r"[a-z]{1,4}|[-+.eE0-9]{1,32}|u[0-9a-fA-F]{0,4}")
SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class JsonRefusedError(ValueError):
    """JSON that is not taken. Holds no content.

    Args:
        kind: what is wrong, as a stable name.
        message: what is wrong, as the end of a sentence about "it".
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its members.

    Raises:
        JsonRefusedError: duplicate_key.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonRefusedError(RejectKind.DUPLICATE_KEY, "it has an object with the same key twice")
    return found


def number_text(text: str) -> NumberText:
    """A number with a fraction or an exponent.

    Raises:
        JsonRefusedError: out_of_range.
    """
    if math.isinf(float(text)):
        raise JsonRefusedError(RejectKind.OUT_OF_RANGE, "it has a number beyond the range of a double, such as 1e999")
    return NumberText(text)


def _constant(name: str) -> Any:
    raise JsonRefusedError(RejectKind.NOT_A_NUMBER, f"it has {name}, which JSON does not know")


STRICT: Final = json.JSONDecoder(object_pairs_hook=unique_object, parse_float=number_text, parse_constant=_constant)


def parse_whole(text: str, *, may_be_cut: bool = False) -> Any:
    """A text as one value.

    Args:
        may_be_cut: whether a text that ends inside a value is cut_off, and not just no JSON.

    Raises:
        JsonRefusedError: it is no JSON, or is not exact.
    """
    with refusals(text if may_be_cut else ""):
        value, end = STRICT.raw_decode(text, skip_space(text, 0))
        check_ended(text, end)
    if has_half_pair(text, value):
        raise half_pair()
    return value


def parse_line(text: str) -> Any:
    """One line as one value; nesting is looked at only where there are enough brackets for it.

    Raises:
        JsonRefusedError: it is no JSON, is not exact, or is nested too deep.
    """
    if text.count("[") + text.count("{") > DEPTH_MAX:
        layout_of(text)
    return parse_whole(text)


def layout_of(text: str) -> JsonIndex:
    """Where the parts of a text are.

    Raises:
        JsonRefusedError: too_deep.
    """
    layout = JsonIndex(text)
    if layout.depth() > DEPTH_MAX:
        raise _too_deep()
    return layout


@contextmanager
def refusals(text: str = "") -> Iterator[None]:
    """Turn what the parser raises into JsonRefusedError.

    Args:
        text: that is parsed, where it may be cut off.
    """
    try:
        yield
    except json.JSONDecodeError as error:
        if _is_cut_off(text, error):
            raise JsonRefusedError(RejectKind.CUT_OFF, f"it ends inside a value, at character {len(text)}") from None
        raise JsonRefusedError(
            RejectKind.NOT_JSON, f"it is no JSON: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos}"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except JsonRefusedError:
        raise
    except ValueError:
        raise too_long_number() from None


def _is_cut_off(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the parser met the end of the text where it needed more: in a text, a word, a number, or between parts."""
    if not text.strip() or error.msg == "Extra data":
        return False
    rest = text[error.pos :].strip(" \t\n\r")
    return not rest or error.msg.startswith("Unterminated string") or bool(_BEGUN.fullmatch(rest))


def decode(body: bytes, charset: str | None) -> str:
    """A body as text: by its byte order mark, else as UTF-8 wherever it is that, else by what the response says.

    Charsets are often wrong, mostly where a server puts its default into each answer; text of another charset is hardly
    ever UTF-8 by chance.

    Args:
        charset: what the response says; None: UTF-8, 16 or 32 by the first bytes.

    Raises:
        JsonRefusedError: bad_encoding.
    """
    encoding = encoding_of(body, charset)
    try:
        if encoding.lower().replace("-", "_") in _NO_CHARSETS:
            raise LookupError
        return body.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise JsonRefusedError(RejectKind.BAD_ENCODING, "it names an encoding that is not known") from None
    except UnicodeError as error:
        is_cut = isinstance(error, UnicodeDecodeError) and error.end == len(body) and error.reason in _CUT_REASONS
        if is_cut:
            raise JsonRefusedError(RejectKind.CUT_OFF, f"it ends inside a character, at byte {len(body)}") from None
        place = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise JsonRefusedError(RejectKind.BAD_ENCODING, f"it is not {encoding}{place}") from None


def encoding_of(body: bytes, charset: str | None) -> str:
    """The name of the encoding that a body is to be read in (see `decode`)."""
    guessed = json.detect_encoding(body)
    if guessed not in ("utf-8", "utf-8-sig"):
        # A mark, or zeros where no other encoding has them.
        return guessed
    # Bytes that no text in UTF-8 has: zeros of UTF-16 and 32, and the escapes of ISO 2022 and HZ.
    if charset is not None and (b"\0" in body or b"\x1b" in body or charset.lower() in ("hz", "hz-gb-2312")):
        return charset
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        is_utf_8 = charset is None or charset.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
        return "utf-8-sig" if is_utf_8 else charset or ""
    return "utf-8-sig"


def check_ended(text: str, end: int) -> None:
    """Make sure that nothing but white space follows.

    Raises:
        json.JSONDecodeError: something does.
    """
    end = skip_space(text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _too_deep() -> JsonRefusedError:
    return JsonRefusedError(RejectKind.TOO_DEEP, f"it is nested deeper than {DEPTH_MAX}")


def skip_space(text: str, at: int) -> int:
    """Where the white space at a position ends."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def too_long_number() -> JsonRefusedError:
    """The refusal of a whole number that Python does not take."""
    return JsonRefusedError(RejectKind.OUT_OF_RANGE, "it has a whole number of more than 4300 digits")


def half_pair() -> JsonRefusedError:
    """The refusal of what `has_half_pair` finds."""
    return JsonRefusedError(RejectKind.BAD_ENCODING, "it has half of a surrogate pair, which is no character")


def has_half_pair(text: str, value: Any) -> bool:
    """Whether a text or a name in an item cannot be written as UTF-8."""
    if not SURROGATE.search(text):
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
