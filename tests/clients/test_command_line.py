"""The command line of a SyncSpec: the command makes the very same SyncSpec of it."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any

import pytest
from techaura_sync import sync_spec
from techaura_sync.cli.app import app
from techaura_sync.command_line import command_line, command_words
from typer.testing import CliRunner

from tests.clients.scripted_service import Script


@pytest.mark.parametrize(
    ("identifier", "options"),
    [
        ("songs.csv", {}),
        ("my 'own' songs.csv", {"delimiter": ";", "encoding": "cp1252", "preambleLines": 2, "hasHeader": False}),
        ("-songs.csv", {"delimiter": " | ", "quote": "", "escape": "\\", "strayQuotes": "keep", "commentPrefix": "--"}),
        ("a.csv", {"columnMapping": {"title": "Título = X", "artist": 'a\'b "c"', "genre": "$(rm)`x`\\"}}),
        ("a.csv", {"columnMapping": {"title": "zero\u200bwidth\nline"}, "delimiter": ";"}),
        ("a.csv", {"columnAliases": {"title": ["Song", "Canción"], "a=b": ["c"]}, "nullTokens": ["", "n/a", "-"]}),
        ("a.csv", {"targetTable": "catalog_items", "mode": "mirror", "mirrorGoneRatioMax": 0.25, "decimalComma": True}),
        ("a.csv", {"numberFormat": {"decimal": ",", "grouping": " ", "currency": ["$", "US$"]}, "decimalComma": False}),
        ("a.xlsx", {"sheet": "Hoja 1", "stripText": False, "nullTokens": ["\x00"]}),
    ],
)
async def test_the_line_says_what_the_spec_says(
    target: str, script: Script, identifier: str, options: dict[str, Any]
) -> None:
    spec = sync_spec("csv", identifier, options)
    line = command_line(spec)
    assert line.isprintable()
    assert line == " ".join(command_words(spec))
    words = shlex.split(line)
    assert words[0] == "techaura-sync"
    done = await asyncio.to_thread(CliRunner().invoke, app, ["--target", target, *words[1:]])
    assert done.exit_code == 0, done.output
    assert [request.spec for request in script.requests] == [spec]  # type: ignore[attr-defined]


def test_a_tab_is_written_so_that_it_can_be_seen() -> None:
    assert command_line(sync_spec("csv", "a.csv", {"delimiter": "\t"})) == (
        "techaura-sync trigger csv a.csv --delimiter '\\t'"
    )


def test_what_has_no_flag_of_its_own_is_json() -> None:
    spec = sync_spec("api", "https://example.com/songs", {"auth": {"type": "bearer", "token": {"env": "SOURCE_T"}}})
    assert command_line(spec, "test") == (
        "techaura-sync test api https://example.com/songs "
        """--options '{"auth": {"type": "bearer", "token": {"env": "SOURCE_T"}}}'"""
    )
    assert command_line(sync_spec("songs", "x", {"depth": 2})) == (
        """techaura-sync trigger custom songs x --options '{"depth": 2}'"""
    )
