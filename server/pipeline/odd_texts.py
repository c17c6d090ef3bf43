"""Texts that are stored as they stand and are probably not meant so: words for no value, damage, quotes that only enclose.

Each kind looks closely at few values: those that are short, that are not ASCII, or that hold a character which few do.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import Final

import polars as pl

from server.core.tally import (
    HTML_ENTITY_CODE,
    LOST_CHARACTER_CODE,
    NULL_WORD_CODE,
    SINGLE_QUOTED_CODE,
    TWICE_DECODED_CODE,
    UNSEEN_CHARACTER_CODE,
)
from server.pipeline.text_damage import ASKED, ENTITY, REPLACED, TWICE_DECODED, UNSEEN, decoded_once

# What programs write where there is no value. A name may be "None" or "NA", so these are not among them.
NULL_WORDS: Final = frozenset(
    (
        *(form.format(word) for word in ("NULL", "null", "Null") for form in ("{}", "({})", "<{}>", "[{}]")),
        *("N/A", "n/a", "N/a", "N/D", "n/d", "NaN", "nan", "NAN", "\\N"),
        # What a spreadsheet shows for a value that it could not find or work out: in English, Spanish, German and French.
        *("#N/A", "#N/D", "#¡N/D!", "#NV", "#REF!", "#¡REF!", "#BEZUG!", "#VALUE!", "#¡VALOR!", "#WERT!", "#VALEUR!"),
        *("#NAME?", "#¿NOMBRE?", "#NOM?", "#DIV/0!", "#¡DIV/0!", "#NUM!", "#¡NUM!", "#NULL!", "#¡NULO!"),
        # And for an empty cell of a pivot table.
        *(
            "(blank)",
            "(empty)",
            "(vacío)",
            "(vacio)",
            "(vacía)",
            "(en blanco)",
            "(vazio)",
            "(vide)",
            "(Leer)",
            "(leer)",
        ),
    )
)
_WORDS: Final = sorted(NULL_WORDS)
_WORD_BYTES_MAX: Final = max(len(word.encode()) for word in NULL_WORDS)
# Most texts beyond ASCII have none of these, and one look is faster than three.
_ODD_CHARACTER: Final = f"{TWICE_DECODED}|{REPLACED}|{UNSEEN}"
# Values of a batch that are taken apart to be sure; the look of the others is enough.
_SURE_MAX: Final = 1000
# Of the values of a batch. A title in quotes is a title; where most of them are, the quotes are the file's.
_ENCLOSED_SHARE_MIN: Final = 0.5


def odd_texts(texts: pl.Series) -> Iterator[tuple[str, pl.Series]]:
    """The codes of the kinds that are met, each with the places, from 0, of its values."""
    size = texts.str.len_bytes()
    short = (size <= _WORD_BYTES_MAX).arg_true()
    beyond_ascii = _like(texts, (size != texts.str.len_chars()).arg_true(), _ODD_CHARACTER)
    marked = texts.str.contains("[&?]").arg_true()
    twice = _sure(texts, _like(texts, beyond_ascii, TWICE_DECODED), decoded_once)
    # Decoded twice, í ends in a soft hyphen.
    unseen = _like(texts, beyond_ascii, UNSEEN)
    lost = pl.concat([_like(texts, beyond_ascii, REPLACED), _like(texts, marked, ASKED)])
    found = {
        NULL_WORD_CODE: short.filter(texts.gather(short).is_in(_WORDS)),
        TWICE_DECODED_CODE: twice,
        HTML_ENTITY_CODE: _sure(texts, _like(texts, marked, ENTITY), _unescaped),
        LOST_CHARACTER_CODE: lost.unique().sort() if len(lost) else lost,
        UNSEEN_CHARACTER_CODE: unseen.filter(~unseen.is_in(twice)),
        SINGLE_QUOTED_CODE: _single_quoted(texts),
    }
    for code, places in found.items():
        if len(places):
            yield code, places


def _like(texts: pl.Series, places: pl.Series, pattern: str) -> pl.Series:
    return places.filter(texts.gather(places).str.contains(pattern))


def _sure(texts: pl.Series, places: pl.Series, way_back: Callable[[str], str | None]) -> pl.Series:
    """Of the places of texts that look damaged, those of texts that all become another by the way back.

    That hardly happens to a word that is meant as it stands.
    """
    some = texts.gather(places.head(_SURE_MAX))
    is_sure = pl.Series([way_back(text) is not None for text in some], dtype=pl.Boolean)
    return pl.concat([places.head(_SURE_MAX).filter(is_sure), places[_SURE_MAX:]])


def _unescaped(text: str) -> str | None:
    plain = html.unescape(text)
    return plain if plain != text else None


def _single_quoted(texts: pl.Series) -> pl.Series:
    """The places of values that stand in single quotes, where most values do: no quotes of CSV, but by `quote`."""
    places = texts.str.starts_with("'").arg_true()
    some = texts.gather(places)
    places = places.filter(some.str.ends_with("'") & (some.str.len_bytes() > 1))
    is_most = len(places) >= max(1, _ENCLOSED_SHARE_MIN * (len(texts) - texts.null_count()))
    return places if is_most else places.clear()
