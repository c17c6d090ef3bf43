"""How little a Latin text makes sense: what shows that it was decoded in a wrong encoding.

Real text keeps to the letters of a language; a wrong encoding puts symbols into words, letters of another language beside
its own, and capitals behind small letters. One number sums that up, so that encodings can be compared by what they make of
the same bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Final

# Letters beside a to z, by language.
_ALPHABETS: Final = {
    "Catalan": "àçèéíïòóúü·",
    "Danish": "æøåé",
    "Dutch": "éèëêïóöü",
    "Estonian": "äöõüšž",
    "Finnish": "äöå",
    "French": "àâæçéèêëîïôœùûüÿ",
    "German": "äöüß",
    "Icelandic": "áðéíóúýþæö",
    "Italian": "àèéìíîòóùú",
    "Portuguese": "áâãàçéêíóôõúü",
    "Spanish": "áéíóúüñ",
    "Swedish": "åäöé",
    "Albanian": "çë",
    "Croatian": "čćđšž",
    "Czech": "áčďéěíňóřšťúůýž",
    "Hungarian": "áéíóöőúüű",
    "Latvian": "āčēģīķļņšūž",
    "Lithuanian": "ąčęėįšųūž",
    "Polish": "ąćęłńóśźż",
    "Romanian": "ăâîșşțţ",
    "Slovak": "áäčďéíĺľňóôŕšťúýž",
    "Turkish": "çğıöşüâîû",
}
_WESTERN: Final = frozenset("áàâäãåæçéèêëíìîïñóòôöõøœúùûüýÿßðþ·ªº")
_OTHERS: Final = frozenset("".join(_ALPHABETS.values())) - _WESTERN
# Names of other countries stand in every catalog: a letter of a neighbour weighs less than one of nobody.
_WESTERN_WEIGHT: Final = 0.3
_OTHER_WEIGHT: Final = 0.6

_LETTER: Final = r"[^\W\d_]"
# A symbol or a dash between two letters; an apostrophe and the dot of Catalan are at home there.
_SYMBOL_IN_WORD: Final = re.compile(rf"(?<={_LETTER})(?![\u2010\u2011\u2018\u2019\xb7])[^\w\s\x00-\x7f](?={_LETTER})")
_FIGURE_IN_WORD: Final = re.compile(rf"(?<={_LETTER})[\xb2\xb3\xb9](?={_LETTER})")
_SYMBOL_BEHIND_WORD: Final = re.compile(
    rf"(?<=[a-z])[\u2020\u2021\u2030\u0192\u02c6\u02dc\u201a\u201e\xa1-\xa6\xa8\xac\xaf\xb4\xb6\xb8\xbf](?!{_LETTER})"
)
_CAPITAL_BEHIND_SMALL: Final = re.compile(r"(?<=[a-zß-öø-ÿ])[^\W\d_a-z]")
_CAPITAL_IN_WORD: Final = re.compile(rf"(?<={_LETTER})[\xc0-\xd6\xd8-\xde\u0160\u0178\u017d](?=[a-z])")
_CAPITAL_BEHIND_ACCENT: Final = re.compile(r"(?<=[ß-öø-ÿ\u0192])[A-Z]")
_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")
_CONTROL: Final = re.compile(r"[\x80-\x9f]")
_WORD_END: Final = re.compile(rf"(?<=[a-z])[\xa0](?={_LETTER})")


def faults_of(text: str) -> float:
    """What speaks against a text, about 1 for each place where it makes no sense; 0 for what may well be meant."""
    symbols = len(_SYMBOL_IN_WORD.findall(text)) + len(_FIGURE_IN_WORD.findall(text))
    symbols += len(_SYMBOL_BEHIND_WORD.findall(text)) + len(_WORD_END.findall(text)) + 2 * len(_CONTROL.findall(text))
    capitals = sum(1 for letter in _CAPITAL_BEHIND_SMALL.findall(text) if letter.isupper() and not letter.isascii())
    capitals += len(_CAPITAL_BEHIND_ACCENT.findall(text))
    # In front of a small letter; behind one it is counted above.
    capitals += sum(1 for found in _CAPITAL_IN_WORD.finditer(text) if text[found.start() - 1].isupper())
    return symbols + capitals + _foreign(text)


def _foreign(text: str) -> float:
    """The weight of the letters that do not belong to the language that fits best."""
    letters = Counter(letter for letter in text.lower() if letter > "\x7f" and unicodedata.category(letter)[0] == "L")
    weights = {letter: count * _weight(letter) for letter, count in letters.items()}
    whole = sum(weights.values())
    return whole - max(sum(weights.get(letter, 0.0) for letter in alphabet) for alphabet in _ALPHABETS.values())


def _weight(letter: str) -> float:
    if letter in _WESTERN:
        return _WESTERN_WEIGHT
    return _OTHER_WEIGHT if letter in _OTHERS else 1.0


def is_latin(raw: bytes) -> bool:
    """Whether words with bytes above 0x7F are mostly made of ASCII letters, as they are in Latin script alone."""
    words = [word for word in re.findall(rb"[A-Za-z\x80-\xff]+", raw) if not word.isascii()]
    letters = sum(map(len, words))
    return bool(words) and sum(len(_BEYOND_ASCII.findall(word)) for word in words) < 0.5 * letters
