"""Texts that are stored as they stand and are probably not meant so.

Words for no value, text decoded twice, and text in quotes that only enclose it.

Each looks closely at few values: those that are short, that are not ASCII, or that begin with a quote.
"""

from __future__ import annotations

from typing import Final

import polars as pl

# What programs write where there is no value. A name may be "None" or "NA", so these are not among them.
_WORDS: Final = (
    *(form.format(word) for word in ("NULL", "null", "Null") for form in ("{}", "({})", "<{}>", "[{}]")),
    *("N/A", "n/a", "N/a", "#N/A", "NaN", "nan", "NAN", "\\N"),
)
_WORD_BYTES_MAX: Final = max(map(len, _WORDS))

# UTF-8 of two or three bytes whose bytes were read as characters of Windows-1252 or Latin-1.
_FOLLOWING: Final = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_TWICE: Final = f"[\u00c2-\u00df][{_FOLLOWING}]|[\u00e0-\u00ef][{_FOLLOWING}][{_FOLLOWING}]"
# Windows-1252's characters at the places where Latin-1 has controls; it leaves five of these places empty.
_PLACES: Final = {ord(char): at for at in range(0x80, 0xA0) for char in bytes([at]).decode("cp1252", "ignore")}
# Values of a batch that are decoded to be sure; the look of the others is enough.
_DECODED_MAX: Final = 1000
# Of the values of a batch. A title in quotes is a title; where most of them are, the quotes are the file's.
_ENCLOSED_SHARE_MIN: Final = 0.5


def null_words(texts: pl.Series) -> pl.Series:
    """The places, from 0, of values that are a word for no value such as NULL or N/A."""
    places = (texts.str.len_bytes() <= _WORD_BYTES_MAX).arg_true()
    return places.filter(texts.gather(places).is_in(_WORDS))


def single_quoted(texts: pl.Series) -> pl.Series:
    """The places, from 0, of values that stand in single quotes, where most values do: no quotes of CSV, but by `quote`."""
    places = texts.str.starts_with("'").arg_true()
    some = texts.gather(places)
    places = places.filter(some.str.ends_with("'") & (some.str.len_bytes() > 1))
    is_most = len(places) >= max(1, _ENCLOSED_SHARE_MIN * (len(texts) - texts.null_count()))
    return places if is_most else places.clear()


def twice_decoded(texts: pl.Series) -> pl.Series:
    """The places, from 0, of values that look like UTF-8 that was decoded in a wrong encoding and encoded again: `CanciÃ³n`.

    A value counts when all of it becomes other text by that way back, which hardly happens to a word that is meant so.
    """
    places = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
    some = texts.gather(places)
    is_like = some.str.contains(_TWICE)
    places, some = places.filter(is_like), some.filter(is_like)
    is_sure = pl.Series([_goes_back(text) for text in some.head(_DECODED_MAX)], dtype=pl.Boolean)
    return pl.concat([places.head(_DECODED_MAX).filter(is_sure), places[_DECODED_MAX:]])


def _goes_back(text: str) -> bool:
    try:
        text.translate(_PLACES).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return False
    return True
