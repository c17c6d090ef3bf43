"""What a request may say about a CSV file, and the sentence that it gets when it says something else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.errors import InvalidRequestError
from server.sources.csv.options import CsvOptions, parse_options
from tests.support.openapi import component


def test_defaults_are_those_of_the_contract() -> None:
    options = parse_options({})
    assert (options.target_table, options.content_type) == ("content_index", "music")
    assert (options.delimiter, options.has_header, options.encoding) == (",", True, "utf-8")
    assert options.column_mapping == {}


def test_every_option_is_known_by_its_camel_case_name() -> None:
    options = parse_options(
        {
            "targetTable": "catalog_items",
            "contentType": "video",
            "delimiter": "auto",
            "hasHeader": False,
            "headerLines": 2,
            "encoding": "auto",
            "quote": "'",
            "escape": "\\",
            "strayQuotes": "keep",
            "preambleLines": 3,
            "commentPrefix": "#",
            "decimalComma": True,
            "nullTokens": ["NULL", "n/a"],
            "columnMapping": {"title": "Titel"},
            "columnAliases": {"artist": ["Singer", "Band"]},
        }
    )
    assert options.null_tokens == ("NULL", "n/a")
    assert options.column_aliases == {"artist": ("Singer", "Band")}
    assert options.escape == "\\"


def test_null_means_that_the_option_is_left_out() -> None:
    assert parse_options({"delimiter": None, "columnMapping": None}) == parse_options({})


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"delimiter": ""}, "options.delimiter"),
        ({"delimiter": "123456789"}, "options.delimiter"),
        ({"delimiter": "\n"}, "options.delimiter"),
        ({"delimiter": 5}, "options.delimiter"),
        ({"delimiter": ["x"]}, "options.delimiter"),
        ({"quote": "''"}, "options.quote"),
        ({"quote": "é"}, "options.quote"),
        ({"quote": ","}, "options.quote"),
        ({"escape": "\n"}, "options.escape"),
        ({"escape": ";", "delimiter": ";"}, "options.escape"),
        ({"hasHeader": "yes"}, "options.hasHeader"),
        ({"hasHeader": 1}, "options.hasHeader"),
        ({"headerLines": 0}, "options.headerLines"),
        ({"encoding": "klingon"}, "options.encoding"),
        ({"encoding": "base64"}, "options.encoding"),
        ({"encoding": "unicode_escape"}, "options.encoding"),
        ({"encoding": "utf-7"}, "options.encoding"),
        ({"encoding": "\0"}, "options.encoding"),
        ({"contentType": "podcast"}, "options.contentType"),
        ({"targetTable": ""}, "options.targetTable"),
        ({"preambleLines": -1}, "options.preambleLines"),
        ({"preambleLines": 10_001}, "options.preambleLines"),
        ({"preambleLines": 1.5}, "options.preambleLines"),
        ({"commentPrefix": ""}, "options.commentPrefix"),
        ({"commentPrefix": "#\n"}, "options.commentPrefix"),
        ({"strayQuotes": "fix"}, "options.strayQuotes"),
        ({"nullTokens": "NULL"}, "options.nullTokens"),
        ({"nullTokens": [1]}, "options.nullTokens.0"),
        ({"nullTokens": ["x"] * 101}, "options.nullTokens"),
        ({"columnMapping": "title"}, "options.columnMapping"),
        ({"columnMapping": {"title": 3}}, "options.columnMapping.title"),
        ({"columnMapping": {"title": ""}}, "options.columnMapping.title"),
        ({"columnMapping": {1: "Titel"}}, "options.columnMapping.1"),
        ({"columnAliases": {"title": "Titel"}}, "options.columnAliases.title"),
        ({"columnAliases": {"title": ["x"] * 101}}, "options.columnAliases"),
        ({"numberFormat": "69.900"}, "options.numberFormat"),
        ({"numberFormat": {"decimal": ";"}}, "options.numberFormat.decimal"),
        ({"numberFormat": {"grouping": "  "}}, "options.numberFormat.grouping"),
        ({"numberFormat": {"decimal": ",", "grouping": ","}}, "options.numberFormat"),
        ({"numberFormat": {"currency": "$"}}, "options.numberFormat.currency"),
        ({"numberFormat": {"currency": ["$"] * 21}}, "options.numberFormat.currency"),
        *(
            ({"numberFormat": {"currency": ["$", text]}}, "options.numberFormat.currency.1")
            for text in ("", "5", "US $", "-", "%", "$.", "(COP)", "COP\n", "\u200b$", ".", "x" * 17)
        ),
        *(
            ({"numberFormat": {"currency": ["$", text]}}, "options.numberFormat.currency.1")
            for text in (
                "k", "K", "m", "MM", "mil", "Mill.", "millones", "millón", "Mio", "mrd", "bn", "tsd", "cts", "cents", "lakh", "Crore", "dozen",
                "¢", "k€", "$M", "MUSD", "TEUR", "USDm", "тыс", "억", "Ｋ", "centavos",
            )
        ),
        ({"numberFormat": {"currencies": ["$"]}}, "options.numberFormat.currencies"),
        ({"decimalComma": True, "numberFormat": {"decimal": "."}}, "options.numberFormat.decimal"),
        ({"decimalComma": True, "numberFormat": {"grouping": " "}}, "options.numberFormat.grouping"),
        ({"hasHeaders": True}, "options.hasHeaders"),
        ({"has_header": True}, "options.has_header"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_options(document)
    assert caught.value.reason == "INVALID_OPTION"
    assert caught.value.field == field
    assert field in caught.value.message


def test_a_contradiction_names_both_options() -> None:
    with pytest.raises(InvalidRequestError, match=r"options\.numberFormat\.grouping contradicts options\.decimalComma"):
        parse_options({"decimalComma": True, "numberFormat": {"decimal": ",", "grouping": ""}})


@pytest.mark.parametrize(
    "document",
    [
        {"decimalComma": True, "numberFormat": {"decimal": ",", "grouping": "."}},
        {"decimalComma": False, "numberFormat": {"decimal": ","}},
        {"decimalComma": True, "numberFormat": {"decimal": None, "grouping": None, "currency": None}},
        {"numberFormat": {"currency": ["$", "COP", "Rs.", "S/.", "€", "د.إ", "रु"]}},
        {
            "numberFormat": {
                "currency": ["pesos", "P", "L", "B/.", "MXN", "CUP", "C$", "RM", "M.N.", "soles", "Lempira"]
            }
        },
    ],
)
def test_number_options_that_agree_are_taken(document: dict[str, Any]) -> None:
    assert parse_options(document).numbers.format.decimal in (",", ".")


def test_a_misspelt_option_gets_the_right_name() -> None:
    with pytest.raises(InvalidRequestError, match=r"options\.delimitr.*did you mean delimiter\?"):
        parse_options({"delimitr": ";"})
    with pytest.raises(InvalidRequestError, match=r"options\.numberFormat\.groupings.*did you mean grouping\?"):
        parse_options({"numberFormat": {"groupings": "."}})


@pytest.mark.parametrize("document", [[], "x", 3, None, {1: 2}, {None: ","}])
def test_what_is_no_object_with_text_keys_is_refused(document: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_options(document)
    assert caught.value.field == "options"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
option_names = st.sampled_from([info.alias or name for name, info in CsvOptions.model_fields.items()])


@given(st.dictionaries(option_names | st.text(max_size=9), json_values, max_size=4))
def test_any_document_is_accepted_or_refused_by_name(document: dict[str, Any]) -> None:
    try:
        parse_options(document)
    except InvalidRequestError as error:
        assert error.reason == "INVALID_OPTION"
        assert error.field.startswith("options")


def test_every_option_says_what_it_is() -> None:
    documented = component("CsvOptions")["properties"]
    assert all(documented[info.alias or name]["description"] for name, info in CsvOptions.model_fields.items())


@pytest.mark.parametrize(
    "text",
    [
        *("\\t", "\\\\t", "\\T", "tab", "TAB", "Tab", "tabs", "<tab>", "<TAB>", "{tab}", "[tab]", "(tab)", "tabulator"),
        *("tabulador", "tabulación", "^I", "%09", "0x09", "0x9", "\\x09", "\\x9", "\\u0009", "\\011", "\\11", "U+0009"),
        *("&#9;", "&#09;", "&#x9;", "&#x09;", "&Tab;", "chr(9)", "CHAR(9)", "$'\\t'", "'\\t'", '"\\t"', "\t"),
    ],
)
def test_a_tab_is_understood_however_it_is_written(text: str) -> None:
    assert parse_options({"delimiter": text}).delimiter == "\t"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("\\x1f", "\x1f"), ("\\u00a6", "\xa6"), ("\\\\x01", "\x01"), ("\\x7c\\x7c", "||"), ("|~|", "|~|")],
)
def test_a_delimiter_may_be_given_by_its_number(text: str, meant: str) -> None:
    assert parse_options({"delimiter": text}).delimiter == meant


@pytest.mark.parametrize("text", [*",;|~^:t9", "||", "\\", "\\n", "tabla", "0", "table", "::", " ", "''"])
def test_other_delimiters_stay_as_they_are(text: str) -> None:
    assert parse_options({"delimiter": text, "quote": ""}).delimiter == text


@pytest.mark.parametrize("text", ["\\x0a", "\\u000d", "\\x00"])
def test_a_delimiter_by_its_number_may_be_no_line_break(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_options({"delimiter": text})
    assert caught.value.field == "options.delimiter"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("utf8-bom", "utf-8"),
        ("UTF-8 (with BOM)", "utf-8"),
        ("utf8mb4", "utf-8"),
        ("UTF-16 LE", "utf-16-le"),
        ("utf-16 be without BOM", "utf-16-be"),
        ("latin1", "iso8859-1"),
        ("ISO Latin 1", "iso8859-1"),
        ("Win1252", "cp1252"),
        ("code page 850", "cp850"),
        ("Mac OS Roman", "mac-roman"),
    ],
)
def test_an_encoding_is_understood_by_the_names_that_programs_give_it(name: str, meant: str) -> None:
    assert parse_options({"encoding": name}).encoding == meant


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("ANSI", "cp1252 in Western Europe and the Americas, cp1250 in Central Europe"),
        ("Windows", "name it, or set auto"),
        ("Western European (Windows)", "cp1252"),
        ("MS-DOS", "cp850 in Western Europe"),
        ("Unicode", "utf-16 is what Windows calls so"),
        ("utf-9", "did you mean utf-8?"),
        ("klingon", "usual are utf-8, utf-16"),
    ],
)
def test_an_encoding_that_is_not_known_is_refused_with_what_may_be_meant(name: str, advice: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_options({"encoding": name})
    assert caught.value.field == "options.encoding"
    assert advice in caught.value.message
