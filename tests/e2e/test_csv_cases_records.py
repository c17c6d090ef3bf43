"""Files as people have them, through the running service: what stands in the table, what is rejected, what is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.support.service import Service

HEAD = b"title,artist,genre\n"
SONGS = b"".join(b"Song %d,Artist %d,Salsa\n" % (number, number) for number in range(1, 13))
STORED = [(f"Song {number}", f"Artist {number}", "Salsa") for number in range(1, 13)]
MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it.

    Args:
        stored: rows beside those of SONGS, which are always there unless `songs` is off.
        rejected: code and line of each reject.
        told: words of a notice each; no others come.
    """

    content: bytes
    options: dict[str, Any] = field(default_factory=dict)
    stored: tuple[tuple[str, ...], ...] = ()
    rejected: tuple[tuple[str, int], ...] = ()
    told: tuple[str, ...] = ()
    songs: bool = True
    text: str = ""


CASES = {
    "a quote that is kept": Case(
        HEAD + b'"Heroes" - 2017 Remaster,David Bowie,Rock\n"Low",David Bowie,Rock\n' + SONGS,
        {"strayQuotes": "keep"},
        stored=(('"Heroes" - 2017 Remaster', "David Bowie", "Rock"), ("Low", "David Bowie", "Rock")),
    ),
    "a quote that is never closed": Case(
        HEAD + b'"Heroes,Bowie,Rock\nA,B,C\nBlue Monday 12",New Order,Synth\n' + SONGS,
        stored=(("Heroes,Bowie,Rock\nA,B,C\nBlue Monday 12", "New Order", "Synth"),),
        told=("line 2",),
    ),
    "files that were put together": Case(
        MARK + HEAD + SONGS + MARK + HEAD + b"Last,A,B\n",
        stored=(("Last", "A", "B"),),
        rejected=(("repeated_header", 14),),
        told=("a byte order mark inside the file was left out (line 14)",),
    ),
    "a CR in a line": Case(
        HEAD + b"A,B,C\r\nSo\rng,E,F\r\n" + SONGS.replace(b"\n", b"\r\n"),
        stored=(("A", "B", "C"),),
        rejected=(("stray_line_break", 3),),
    ),
    "comments": Case(
        b"# generado\n" + HEAD + b"#1 Crush,Garbage,Rock\n" + SONGS,
        {"commentPrefix": "#"},
        told=("2 lines were left out as comments (first: line 1)", "behind the header (line 3)"),
    ),
    "blanks before quotes": Case(
        HEAD + b'"A", "B", "C"\n' + SONGS, rejected=(("stray_quote", 2),), text='options.delimiter to ", "'
    ),
    "backslash letters": Case(
        b"title\tartist\tgenre\nLine\\nbreak\tA\tB\n",
        {"delimiter": "\t", "quote": "", "escape": "\\", "nullTokens": ["\\N"]},
        stored=(("Line\\nbreak", "A", "B"),),
        told=("\\n is kept as the two characters that it is (line 2)",),
        songs=False,
    ),
    "rows of delimiters": Case(HEAD + SONGS + b",,\n" * 5, told=("5 records of nothing but delimiters",)),
    "Ctrl-Z": Case(HEAD + SONGS + b"\x1a", told=("a byte of Ctrl-Z",)),
    "rows that end early": Case(
        HEAD + b"S1,A,\nS2,A\n" + SONGS,
        stored=(("S1", "A", ""),),
        rejected=(("missing_columns", 3),),
        text="options.missingFields to empty",
    ),
    "rows that end early, taken as empty": Case(
        HEAD + b"S1,A,\nS2,A\n" + SONGS,
        {"missingFields": "empty"},
        stored=(("S1", "A", ""), ("S2", "A", "")),
        told=("a record ends early",),
    ),
    "backslashes before quotes": Case(
        HEAD + b'"Say \\"Hi\\"",B,C\n' + SONGS, rejected=(("stray_quote", 2),), text="options.escape to \\"
    ),
    "backslashes before quotes, declared": Case(
        HEAD + b'"Say \\"Hi\\"",B,C\n' + SONGS, {"escape": "\\"}, stored=(('Say "Hi"', "B", "C"),)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_as_people_have_it(service: Service, name: str) -> None:
    case = CASES[name]
    file = f"{name.replace(' ', '-').replace(',', '')}.csv"
    (service.data_root / file).write_bytes(case.content)
    run = service.run("csv", file, case.options)
    assert run["status"] == "completed", run
    wanted = sorted([*case.stored, *(STORED if case.songs else [])])
    found = rows(service, "SELECT title, artist, genre FROM content_index WHERE source_identifier = :file", file=file)
    assert sorted(tuple(value or "" for value in row) for row in found) == wanted
    assert run["ledger"]["rowsRead"] == len(wanted) + len(case.rejected)
    errors = service.get(f"/v1/sync/{run['syncRunId']}/errors")[1]["data"]
    assert sorted((error["code"], error["line"]) for error in errors) == sorted(case.rejected)
    assert all(case.text in error["message"] for error in errors)
    assert len(run["notices"]) == len(case.told)
    assert all(any(words in notice for notice in run["notices"]) for words in case.told)
