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
_SPACE: Final = re.compile(r"[ \t\n\r]*")
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


def parse_whole(text: str) -> Any:
    """A text as one value.

    Raises:
        JsonRefusedError: it is no JSON, or is not exact.
    """
    with refusals():
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
def refusals() -> Iterator[None]:
    """Turn what the parser raises into JsonRefusedError."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise JsonRefusedError(
            RejectKind.NOT_JSON, f"it is no JSON: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos}"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except JsonRefusedError:
        raise
    except ValueError:
        raise too_long_number() from None


def decode(body: bytes, charset: str | None) -> str:
    """A body as text.

    Args:
        charset: what the response says; None: UTF-8, 16 or 32 by the first bytes.

    Raises:
        JsonRefusedError: bad_encoding.
    """
    encoding = charset or json.detect_encoding(body)
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    try:
        if encoding.lower().replace("-", "_") in _NO_CHARSETS:
            raise LookupError
        return body.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise JsonRefusedError(RejectKind.BAD_ENCODING, "it names an encoding that is not known") from None
    except UnicodeError as error:
        place = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise JsonRefusedError(RejectKind.BAD_ENCODING, f"it is not {encoding}{place}") from None


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
