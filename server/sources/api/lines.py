"""Reads a page of JSON lines (NDJSON): one item in each line, blank lines left out.

A line that is no JSON, or cannot be kept exactly, is refused by itself like an item of an array: a cut-off answer is
noticed by the client, so a bad line says nothing about its neighbours.
"""

from __future__ import annotations

from server.sources.api.json_text import JsonRefused, Page, decode, layout_of, parse_whole
from server.sources.api.json_values import to_text

_DEPTH_SAFE = 64


def read_lines(body: bytes, charset: str | None) -> Page:
    """Read a page of lines.

    Args:
        charset: what the response says; None for UTF-8.

    Raises:
        JsonRefused: it does not decode.
    """
    page = Page()
    for line in decode(body, charset or "utf-8").split("\n"):
        text = line.strip(" \t\r")
        if not text:
            continue
        value = None
        try:
            if text.count("[") + text.count("{") > _DEPTH_SAFE:
                layout_of(text)
            value = parse_whole(text)
            # Compact, so that an item is the same item however its API spaces it.
            text = to_text(value) if " " in text or "\t" in text else text
        except JsonRefused as refused:
            page.refused[len(page.values)] = refused
        page.values.append(value)
        page.texts.append(text)
    return Page(page.values, page.texts, page.refused, "\n".join(page.texts))
