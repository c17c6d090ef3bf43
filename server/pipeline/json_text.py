"""Says which JSON texts a JSON column can hold, strictly by RFC 8259 and by what the databases refuse.

Texts are kept as they stand; only their validity is decided. This is the one cast that looks at values one by one
(3 to 8 microseconds each): Polars' own decoder takes `1,2` for one value and loses empty texts. One text that a
database refuses would undo the whole batch, so the limits of both engines are applied here.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

import polars as pl

# MariaDB 10.11 refuses the 32nd level, measured; MySQL the 101st.
NESTING_MAX: Final = 31
# MySQL keeps a number that is no 64-bit integer as a double, and refuses one that no double can hold.
_WHOLE_DIGITS_MAX: Final = 308
_LONG_NUMBER: Final = "[0-9]{300}"
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def invalid_json(texts: pl.Series) -> pl.Series:
    """True for each text that no JSON column can hold; false for null."""
    flags = [text is not None and not is_storable_json(text) for text in texts]
    return pl.Series(texts.name, flags, dtype=pl.Boolean)


def unstorable_json(texts: pl.Series) -> pl.Series:
    """True for each text, known to be JSON by RFC 8259, that the databases refuse all the same; false for null.

    Only texts with very many brackets, or with very many digits in a row, are looked at one by one.
    """
    brackets = texts.str.count_matches("[", literal=True) + texts.str.count_matches("{", literal=True)
    suspects = ((brackets > NESTING_MAX) | texts.str.contains(_LONG_NUMBER)).fill_null(False)
    if not suspects.any():
        return suspects.rename(texts.name)
    flags = [suspect and not is_storable_json(text) for suspect, text in zip(suspects, texts, strict=True)]
    return pl.Series(texts.name, flags, dtype=pl.Boolean)


def is_storable_json(text: str) -> bool:
    """Whether the text is one JSON value that MySQL and MariaDB both take and keep whole.

    Refused beside malformed text: NaN and infinities, numbers beyond a double, a name twice in one object (MySQL would
    drop the first), half of a surrogate pair, more than 31 levels.
    """
    if text.count("[") + text.count("{") > NESTING_MAX and _nesting(text) > NESTING_MAX:
        return False
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _nesting(text: str) -> int:
    deepest = level = 0
    for char in _STRING.sub("", text):
        if char in "[{":
            level += 1
            deepest = max(deepest, level)
        elif char in "]}":
            level -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def _whole(digits: str) -> int:
    if len(digits) > _WHOLE_DIGITS_MAX:
        raise ValueError("a number is too long")
    return 0


def _real(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_real, parse_constant=_constant
)
