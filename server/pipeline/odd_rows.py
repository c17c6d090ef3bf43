"""Rows that are loaded as they stand and are probably no records.

A report ends with totals and page numbers, a program that fails writes its message where rows should stand, and files that
were put together have a header in their middle.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import polars as pl

from server.core.texts import folded
from server.pipeline.plan import MappingPlan
from server.targets.other_names import OTHER_NAMES

# Text that stands alone in its row. Each of them takes the whole text but the two that say how a message begins.
_LINES: Final = (
    # Totals and counts: `Total: 2`, `TOTAL GENERAL`, `(2 filas afectadas)`, `3 rows in set (0.00 sec)`.
    r"(?:grand |sub)?-?tota(?:l|les|is|ux)(?: general| geral| général)?\s*[:=]?[\s\d.,$€]*",
    r"\(?\d[\d.,]* (?:rows?|records?|filas?|registros?|lignes?|zeilen?|linhas?)\b[^()]*(?:\([^()]*\))?\)?",
    # Pages: `Page 1 of 2`, `Página 3`, `- 4 -`.
    r"(?:page|p[áa]gina|p[áa]g\.|pag\.|seite|hoja) \d+(?:\s*(?:/|of|de|von|sur) \d+)?",
    r"-+ ?\d+ ?-+",
    # Rulers.
    r"[-=_*+|~·.\s]{3,}",
    # The end, and who wrote it.
    r"(?:fin|final|end|ende) (?:del?|of|da|do)(?: (?:the|la|los|este))? (?:report|reporte|informe|list|lista|listado|file|archivo|data|datos)\.?",
    r"(?:generado|generated|exportado|exported|impreso|printed|gerado|erstellt|creado por|created by)\b.*",
    # What a program says where rows should stand.
    r"</?(?:!doctype|html|head|body|b|br|p|div|pre|table|script|font)\b.*",
    r"(?:php )?(?:fatal error|parse error|warning|notice|deprecated|uncaught [\w\\]+)\s*:.*",
    r"(?:traceback \(most recent call last\)|error \d{3,5}\b|ora-\d{5}|sqlstate\b|deadlock found|mysql server has gone away).*",
)
_NO_RECORD: Final = rf"(?is)^(?:{'|'.join(_LINES)})$"
# Letters that stand for the ones with an accent too, where names of columns are looked for.
_ACCENTED: Final = {"a": "[aáàâã]", "c": "[cç]", "e": "[eéèê]", "i": "[ií]", "n": "[nñ]", "o": "[oóôõ]", "u": "[uúü]"}
_RULER: Final = "^[-=_*~]{3,}$"
# Rows of a batch that are looked at closely.
_LOOKED_AT_MAX: Final = 1000
_COLUMNS_MIN: Final = 2


def no_records(rows: pl.DataFrame, plan: MappingPlan) -> pl.Series:
    """The places, from 0, of rows that are probably no records; none where too few columns tell.

    Args:
        rows: `PreparedBatch.rows`.
    """
    names = [name for name in plan.source_columns if plan.target.by_name[name].default is None]
    texts = [name for name in names if plan.target.by_name[name].kind == "text"]
    required = [name for name in texts if plan.target.by_name[name].required]
    if not required or len(names) < _COLUMNS_MIN:
        return pl.Series(dtype=pl.UInt32)
    others = [name for name in names if name != required[0]]
    alone = rows.select(pl.all_horizontal(pl.col(name).is_null() for name in others)).to_series().arg_true()
    lines = alone.filter(rows[required[0]].gather(alone).str.contains(_NO_RECORD))
    return pl.concat([lines, _rulers(rows, texts), _headers(rows, plan, texts)]).unique().sort()


def _rulers(rows: pl.DataFrame, texts: list[str]) -> pl.Series:
    """The places of rows whose texts are all drawn lines, two at least."""
    return _of_one_kind(rows, texts, _RULER, lambda value: re.fullmatch(_RULER, value) is not None)


def _headers(rows: pl.DataFrame, plan: MappingPlan, texts: list[str]) -> pl.Series:
    """The places of rows whose texts are all names of columns, two at least."""
    words = _words(plan)
    names = "|".join("".join(_ACCENTED.get(char, re.escape(char)) for char in word) for word in sorted(words))
    return _of_one_kind(rows, texts, f"(?i)^(?:{names})$", lambda value: folded(value) in words)


def _of_one_kind(rows: pl.DataFrame, texts: list[str], pattern: str, is_of_kind: Callable[[str], bool]) -> pl.Series:
    """The places of rows of which two texts or more are of a kind, and none is of another.

    Args:
        pattern: finds most of the kind in the first column, where looking closely at each row would take too long.
    """
    found = []
    for place in rows[texts[0]].str.contains(pattern).arg_true().head(_LOOKED_AT_MAX):
        values = [value for name in texts if (value := rows[name][place]) is not None]
        if len(values) >= _COLUMNS_MIN and all(map(is_of_kind, values)):
            found.append(place)
    return pl.Series(found, dtype=pl.UInt32)


def _words(plan: MappingPlan) -> frozenset[str]:
    """What the columns are called in the source, in the table and in other languages, as names are compared."""
    others = (word for words in OTHER_NAMES.get(plan.target.name, {}).values() for word in words)
    return frozenset(map(folded, (*plan.target.by_name, *others, *plan.source_columns.values())))
