"""What reaches a terminal: text from outside as it is, but for what could steer it."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from techaura.sync.v1 import resources_pb2
from techaura_sync.cli.output import Output
from techaura_sync.cli.terminal import shown, shown_json

HOSTILE = ["\x1b[31m", "\x1b]0;x\x07", "\x9b31m", "\x7f", "\x00", "\r", "a\nb", "\t", "\u202e", "\u2028", "\udc9b"]
MARKUP = [
    "Cantidad [/u]",
    "[bold]x[/bold]",
    "[red]",
    ":smile:",
    "[link=file:///etc]x[/link]",
    "\\[x]",
    "{task.id}",
    "a%sb",
]


def printed(*, as_json: bool = False) -> tuple[Output, io.StringIO, io.StringIO]:
    out, progress = io.StringIO(), io.StringIO()
    made = (Console(file=stream, width=200, force_terminal=False) for stream in (out, progress))
    return Output(as_json, *made), out, progress


def steering(text: str) -> list[str]:
    return [char for char in text if char != "\n" and not char.isprintable()]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_steer_a_terminal_is_escaped_everywhere(text: str) -> None:
    assert shown(f"<{text}>").isprintable()
    output, out, progress = printed()
    output.value({}, f"<{text}>", "next")
    output.table(f"errors of {text}", ("message",), [{"message": f"<{text}>"}])
    with output.following(text) as bar:
        bar.show(resources_pb2.SYNC_STATUS_COMPLETED, resources_pb2.Ledger())
    assert steering(out.getvalue()) == []
    assert [char for char in steering(progress.getvalue()) if char in text] == []
    assert out.getvalue().splitlines()[:2] == [f"<{shown(text)}>", "next"]


def test_escapes_are_those_of_a_person_who_knows_them() -> None:
    assert shown("\x1b[31mtit\x1b[0mle \x07\x7f\x9b") == r"\x1b[31mtit\x1b[0mle \x07\x7f\x9b"
    assert shown("Canción 👩\u200d👩 日本") == "Canción 👩\u200d👩 日本"


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_text(text: str) -> None:
    output, out, progress = printed()
    output.value({}, text)
    output.table(text, ("column", "message"), [{"column": text, "message": None}])
    with output.following(text) as bar:
        bar.show(resources_pb2.SYNC_STATUS_FAILED, resources_pb2.Ledger())
    assert out.getvalue().splitlines()[0] == text
    assert out.getvalue().count(text) == 3
    assert text in progress.getvalue()


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_json_stays_the_same_value(text: str) -> None:
    output, out, _ = printed(as_json=True)
    output.value({"message": text})
    assert steering(out.getvalue()) == []
    assert json.loads(out.getvalue()) == {"message": text}
    assert shown_json('"\x9b"') == r'"\u009b"'
