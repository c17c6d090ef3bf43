"""Reads a page of JSON lines (NDJSON): one item in each line, blank lines left out.

A line that is no JSON, or cannot be kept exactly, is refused by itself like an item of an array, and says nothing about
its neighbours. Only where the last line is broken, and has no line end, is the response taken for one that was cut off.
"""

from __future__ import annotations

from server.core.reject_kinds import RejectKind
from server.sources.api.items.json_page import Page
from server.sources.exact_json.json_values import to_text
from server.sources.exact_json.strict_json import JsonRefusedError, decode, parse_line


def read_lines(body: bytes, charset: str | None) -> Page:
    """Read a page of lines.

    Args:
        charset: what the response says; None for UTF-8.

    Raises:
        JsonRefusedError: it does not decode, or is cut_off.
    """
    page = Page()
    lines = decode(body, charset or "utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        text = line.strip(" \t\r")
        if not text:
            continue
        value = None
        try:
            value = parse_line(text)
            # Compact, so that an item is the same item however its API spaces it.
            text = to_text(value) if " " in text or "\t" in text else text
        except JsonRefusedError as refused:
            if number == len(lines) and refused.kind == RejectKind.NOT_JSON:
                # Behind a whole line stands its end; without a length nothing else tells a cut-off answer from a whole one.
                raise JsonRefusedError(RejectKind.CUT_OFF, "its last line is no JSON and has no end") from None
            page.refused[len(page.values)] = refused
        page.values.append(value)
        page.texts.append(text)
    return Page(page.values, page.texts, page.refused, "\n".join(page.texts))
