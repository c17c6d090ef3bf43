"""The Link header of a response (RFC 8288), and what its links say of themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LINK: Final = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]+))?)*)")
_PARAMETER: Final = re.compile(r";\s*([^\s=;,]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;,]+))")
_RESULTS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Link:
    """One link.

    Args:
        target: its address, as it stands.
        rels: what it is to the page, lower case.
        has_results: whether it says that there is anything behind it (`results="false"`); None when it does not say.
    """

    target: str
    rels: frozenset[str]
    has_results: bool | None = None


def links_of(header: str) -> list[Link]:
    """The links of a header, in its order."""
    return [_link(target, parameters) for target, parameters in _LINK.findall(header)] if header else []


def _link(target: str, parameters: str) -> Link:
    said: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(parameters):
        # The first one counts (RFC 8288, 3.3).
        said.setdefault(name.lower(), (quoted or plain).strip().lower())
    return Link(target.strip(), frozenset(said.get("rel", "").split()), _RESULTS.get(said.get("results", "")))
