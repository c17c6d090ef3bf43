"""Values and rows that are loaded and told: what is found, what is not, and in which words."""

from __future__ import annotations

import pytest

from server.execution.odd_notices import odd_notices
from server.execution.odd_values import odd_values
from server.pipeline.prepare import prepare
from server.pipeline.text_damage import is_damaged, undamaged
from server.targets.registry import find_target
from tests.pipeline.builders import make_batch, make_plan


def codes(*rows: tuple[str | None, str | None]) -> dict[str, tuple[str, int, int]]:
    """Code -> column, count and first line, of titles and artists."""
    columns = {"Title": [title for title, _artist in rows], "Artist": [artist for _title, artist in rows]}
    plan = make_plan(find_target("content_index"), list(columns))
    found = odd_values(prepare(make_batch(columns), plan), plan)
    return {kind.code: (kind.column, kind.count, kind.first_line) for kind in found}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Rock &amp; Roll", "html_entity"),
        ("Canci&oacute;n", "html_entity"),
        ("Canci&#243;n", "html_entity"),
        ("&#x1F3B5; x", "html_entity"),
        ("Canci\ufffdn", "lost_character"),
        ("\ufffdngel", "lost_character"),
        ("Canci?n", "lost_character"),
        ("Espa?a", "lost_character"),
        ("Love\u200b me", "unseen_character"),
        ("Lo\u00adve", "unseen_character"),
        ("Cancio\u0301n", "unseen_character"),
        ("CanciÃ³n", "twice_decoded"),
        ("#N/D", "null_word"),
        ("#¡REF!", "null_word"),
        ("(en blanco)", "null_word"),
        ("(null)", "null_word"),
    ],
)
def test_a_text_that_is_probably_not_meant_so_is_found(text: str, code: str) -> None:
    assert codes(("Right", "A"), (text, "B"), (text, "C")) == {code: ("Title", 2, 3)}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Rock & Roll",
            "R&B;",
            "AT&T",
            "Q&A; more",
            "&nosuchentity;",
            "a&b;c",
            "¿Qué? no",
            "Who?",
            "Why?Because",
            "What? ever",
        ),
        *(
            "50?",
            "Nullarbor",
            "None",
            "NA",
            "(blank space)",
            "Ñandú",
            "Canción – “viva”",
            "Ánimo",
            "日本",
            "नमस्ते",
            "قهوه\u200cای",
        ),
        *("👨\u200d👩\u200d👧", "Việt", "N/A remix", "#1", "é?É"),
    ],
)
def test_a_text_that_may_well_be_meant_so_is_not(text: str) -> None:
    assert codes((text, "A"), ("x", text)) == {}


@pytest.mark.parametrize(
    "text",
    [
        *("Total", "TOTAL: 2", "Total general: 69.900", "Grand total 1,234", "Subtotal", "Totales", "Total $ 5.00"),
        *("2 rows", "(2 filas afectadas)", "1.234 registros", "3 rows in set (0.00 sec)", "(1 row)"),
        *(
            "Page 1 of 2",
            "Página 3",
            "pág. 3 de 4",
            "Seite 1 von 9",
            "- 4 -",
            "-----",
            "======",
            "+---+---+",
            "*** ***",
        ),
        *(
            "Fin del reporte",
            "End of file",
            "Final de la lista",
            "Generado el 12/11/2026 por SAP",
            "Exported from X",
            "Created by me",
        ),
        *(
            "<b>Fatal error</b>: Allowed memory",
            "<br />",
            "</table>",
            "<!DOCTYPE html>",
            "Fatal error: Uncaught X",
            "PHP Warning:  x",
        ),
        *(
            "Warning: Undefined index",
            "Traceback (most recent call last):",
            "ORA-01555: snapshot too old",
            "SQLSTATE[HY000]: x",
        ),
        *("MySQL server has gone away", "Error 500", "Deadlock found when trying to get lock"),
    ],
)
def test_a_line_that_stands_alone_in_its_row_is_found_where_it_is_no_record(text: str) -> None:
    assert codes(("Right", "A"), (text, None)) == {"no_record": ("", 1, 3)}
    assert codes((text, "An Artist")) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Total Eclipse",
        "Page",
        "End of Time",
        "Fin de semana",
        "Error",
        "100",
        "2 of us",
        "The End",
        "Warning",
        "..",
        "<3",
    ],
)
def test_a_title_that_stands_alone_is_a_record(text: str) -> None:
    assert codes((text, None)) == {}


@pytest.mark.parametrize(
    "row", [("Título", "Intérprete"), ("TITLE", "artist"), ("Cancion", "Artista"), ("title", "artist name")]
)
def test_a_header_among_the_rows_is_found_in_any_of_its_languages(row: tuple[str, str]) -> None:
    is_header = row[1] != "artist name"
    assert codes(("Right", "A"), row) == ({"no_record": ("", 1, 3)} if is_header else {})


@pytest.mark.parametrize("row", [("-----", "------"), ("===", "==="), ("***", "---")])
def test_a_ruler_below_the_names_is_found(row: tuple[str, str]) -> None:
    assert codes(row, ("Right", "A")) == {"no_record": ("", 1, 2)}
    assert codes((row[0], "An Artist"), ("+ - =", "÷")) == {}


def test_each_kind_has_its_sentence() -> None:
    columns: dict[str, list[str | None]] = {
        "t": ["a &amp; b", "x\ufffd", "y\u200b", "NULL", "Total"],
        "a": ["1", "2", "3", "4", None],
    }
    plan = make_plan(find_target("content_index"), list(columns), requested={"title": "t", "artist": "a"})
    notices = odd_notices(odd_values(prepare(make_batch(columns), plan), plan), "csv", is_encoding_doubted=False)
    assert [notice.split(" in 1 row")[0][:40] for notice in notices] == [
        "'t' holds a word such as NULL or N/A",
        "'t' holds HTML entities, such as &amp; f",
        "'t' shows that characters were lost befo",
        "'t' holds characters that are not seen, ",
        "a total, a page number, a message or ano",
    ]


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        ("Canción", "CanciÃ³n"),
        ("Canción", "Canci\ufffdn"),
        ("Canción", "Canci?n"),
        ("Canción", "Canci&oacute;n"),
        ("Canción", "Cancio\u0301n"),
        ("Rock & Roll", "Rock &amp; Roll"),
        ("Don’t stop", "Donâ€™t stop"),
        ("日本語", "æ—¥æœ¬èªž"),
    ],
)
def test_a_damaged_text_is_known_again(text: str, damaged: str) -> None:
    assert (is_damaged(text), is_damaged(damaged)) == (False, True)
    assert undamaged(damaged) == undamaged(text)
