"""Flags are made from the protos: each option of a source has one, and what it says arrives."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import pytest
import typer
from google.protobuf.descriptor import Descriptor
from techaura.sync.v1 import api_source_pb2, csv_source_pb2, sync_spec_pb2
from techaura_sync.cli.app import app
from techaura_sync.cli.flags import Flag, flags_of, options_of
from techaura_sync.cli.option_help import OPTION_HELP
from typer.testing import CliRunner

WRITE: Descriptor = sync_spec_pb2.WriteOptions.DESCRIPTOR
OWN: Mapping[str, Descriptor | None] = {
    "csv": csv_source_pb2.CsvOptions.DESCRIPTOR,
    "api": api_source_pb2.ApiOptions.DESCRIPTOR,
    "custom": None,
}


def parsed(source_type: str, arguments: str) -> dict[str, Any]:
    """The options that a command line says, through a command of its own."""
    found: dict[str, Any] = {}

    def command(**flags: Any) -> None:
        found.update(options_of(source_type, flags))

    from techaura_sync.cli.flags import with_flags

    program = typer.Typer()
    program.command()(with_flags(source_type)(command))
    result = CliRunner().invoke(program, shlex.split(arguments))
    assert result.exit_code == 0, result.output
    return found


@pytest.mark.parametrize("source_type", OWN)
def test_every_option_has_a_flag_of_its_name_on_trigger_and_test(source_type: str) -> None:
    own = OWN[source_type]
    names = [field.name for field in (*(own.fields if own is not None else ()), *WRITE.fields)]
    names = ["target_table", *(name for name in names if name != "auth")]
    flags = {flag.name for flag in flags_of(source_type)}
    nested = [name for name in names if name not in flags]
    assert [name for name in nested if not any(flag.startswith(f"{name}_") for flag in flags)] == []
    assert nested == {"api": ["pagination", "incremental", "number_format"], "csv": ["number_format"]}.get(
        source_type, []
    )
    for group in ("trigger", "test"):
        shown = (
            CliRunner().invoke(app, [group, source_type, "--help"], terminal_width=200, env={"COLUMNS": "240"}).output
        )
        assert [flag.long for flag in flags_of(source_type) if flag.long not in shown] == []


@pytest.mark.parametrize("source_type", OWN)
def test_every_flag_says_what_it_means(source_type: str) -> None:
    assert [flag.name for flag in flags_of(source_type) if not flag.help] == []
    assert all(name.startswith("techaura.sync.v1.") for name in OPTION_HELP)


@pytest.mark.parametrize(
    ("source_type", "arguments", "options"),
    [
        ("csv", "", {}),
        ("csv", "--preamble-lines 2 --header-lines 3", {"preambleLines": 2, "headerLines": 3}),
        ("csv", "--stray-quotes keep --missing-fields EMPTY", {"strayQuotes": "keep", "missingFields": "empty"}),
        ("csv", "--decimal-comma --no-strip-text", {"decimalComma": True, "stripText": False}),
        (
            "csv",
            "--number-format-grouping . --number-format-currency '$' --number-format-currency COP",
            {"numberFormat": {"grouping": ".", "currency": ["$", "COP"]}},
        ),
        (
            "csv",
            "--number-format-decimal , --number-format-grouping ' '",
            {"numberFormat": {"decimal": ",", "grouping": " "}},
        ),
        ("csv", "--no-header", {"hasHeader": False}),
        ("csv", "--no-has-header", {"hasHeader": False}),
        ("csv", "--header", {"hasHeader": True}),
        ("csv", "--quote '' --escape '\\'", {"quote": "", "escape": "\\"}),
        ("csv", "--delimiter ';' --comment-prefix '#'", {"delimiter": ";", "commentPrefix": "#"}),
        ("csv", "--null-tokens NULL --null-tokens ''", {"nullTokens": ["NULL", ""]}),
        ("csv", "--map title=Song --column-mapping artist=a=b", {"columnMapping": {"title": "Song", "artist": "a=b"}}),
        (
            "csv",
            "--column-aliases title=Song --column-aliases title=Canción --column-aliases genre=G",
            {"columnAliases": {"title": ["Song", "Canción"], "genre": ["G"]}},
        ),
        ("csv", "--table t --mode mirror", {"targetTable": "t", "mode": "mirror"}),
        (
            "csv",
            "--mirror-gone-ratio-max 0 --mirror-allow-empty",
            {"mirrorGoneRatioMax": 0.0, "mirrorAllowEmpty": True},
        ),
        ("custom", "--target-table t --conflict-policy report", {"targetTable": "t", "conflictPolicy": "report"}),
        ("api", "--field-mapping title=name", {"fieldMapping": {"title": "name"}}),
        ("api", "--method post", {"method": "POST"}),
        (
            "api",
            "--pagination cursor --max-pages 3 --pagination-cursor-param after",
            {"pagination": {"enabled": True, "type": "cursor", "maxPages": 3, "cursorParam": "after"}},
        ),
        ("api", "--pagination-type page --no-pagination-enabled", {"pagination": {"enabled": False, "type": "page"}}),
        ("api", """--body '{"a": [1]}'""", {"body": {"a": [1]}}),
        ("api", "--incremental-full-after-days 7", {"incremental": {"fullAfterDays": 7}}),
        ("api", "--incremental-date-format '%d/%m/%Y'", {"incremental": {"dateFormat": "%d/%m/%Y"}}),
    ],
)
def test_what_a_flag_says_is_the_option_as_rest_has_it(
    source_type: str, arguments: str, options: dict[str, Any]
) -> None:
    assert parsed(source_type, arguments) == options


def test_a_pair_without_its_sign_is_refused_by_its_flag() -> None:
    (flag,) = [flag for flag in flags_of("csv") if flag.name == "column_aliases"]
    assert isinstance(flag, Flag)
    with pytest.raises(typer.BadParameter) as caught:
        flag.value(["title"])
    assert caught.value.param_hint == "--column-aliases"
