"""What a page says about the pages after it: more or not, how many items and pages there are in all.

Only names are read whose meaning is the same everywhere. Anything else, or a value of the wrong type, says nothing; a
page that says nothing never ends a run by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_FRAMES: Final = ("meta", "pagination", "page", "paging", "_meta", "page_info", "pageInfo", "metadata")
_MORE: Final = ("has_more", "hasMore", "has_next", "hasNext", "has_next_page", "hasNextPage", "more")
_LAST: Final = ("is_last", "isLast", "last")
_NEXT: Final = ("next", "next_page", "nextPage", "next_url", "nextUrl", "next_page_url", "next_link", "nextLink")
_TOTAL: Final = (
    "total",
    "total_count",
    "totalCount",
    "total_items",
    "totalItems",
    "total_results",
    "totalResults",
    "total_elements",
    "totalElements",
)
_PAGES: Final = ("total_pages", "totalPages", "last_page", "lastPage", "page_count", "pageCount")
_NUMBER: Final = (
    "number",
    "page",
    "page_number",
    "pageNumber",
    "current_page",
    "currentPage",
    "pageIndex",
    "page_index",
)
_FIRST: Final = ("first", "is_first", "isFirst", "first_page", "firstPage")
_ERRORS: Final = ("error", "errors")
_LINK: Final = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]+))?)*)")
_REL: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]+))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PageHints:
    """What one page says.

    Args:
        more: whether there is another page; None when it does not say.
        total: items in all pages, or None.
        pages: pages in all, or None.
        link: target of the Link header's rel=next; None when there is none.
        number: what the page calls itself, in whatever way it counts; None when it does not say.
        is_first: whether it is the first one; None when it does not say.
    """

    more: bool | None = None
    total: int | None = None
    pages: int | None = None
    link: str | None = None
    number: int | None = None
    is_first: bool | None = None


def read_hints(envelope: Any, headers: Mapping[str, str]) -> PageHints:
    """Read the envelope of a page and its response headers."""
    link_header = headers.get("link", "")
    link = next_link(link_header)
    frames = list(_frames(envelope))
    said = {each for frame in frames for each in _more(frame)}
    if link is not None:
        said.add(True)
    elif _rels(link_header) & {"prev", "previous", "first"}:
        # RFC 8288 pagers give the way back on each page and the way on where there is one.
        said.add(False)
    # Where a page says both, continuing loses nothing.
    more = True if True in said else False if said else None
    total = _first_count(frames, _TOTAL)
    if total is None and frames and _is_rest_framework(frames[0]):
        total = _count(frames[0].get("count"))
    if total is None:
        total = _count(headers.get("x-total-count", headers.get("x-total")))
    if total is None:
        # `items 0-9/573`, `0-9/573`: the unit is the source's own; a range of bytes never comes here.
        total = _count(headers.get("content-range", "").rpartition("/")[2].strip())
    pages = _first_count(frames, _PAGES)
    if pages is None:
        pages = _count(headers.get("x-total-pages"))
    number = next((frame[name] for frame in frames for name in _NUMBER if _count(frame.get(name)) is not None), None)
    firsts = [frame[name] for frame in frames for name in _FIRST if isinstance(frame.get(name), bool)]
    return PageHints(more, total, pages, link, _count(number), firsts[0] if firsts else None)


def says_error(envelope: Any) -> bool:
    """Whether a page tells of an error, as some sources do with status 200."""
    return isinstance(envelope, Mapping) and any(envelope.get(name) for name in _ERRORS)


def next_link(header: str) -> str | None:
    """Target of rel=next in a Link header (RFC 8288), or None."""
    for target, parameters in _LINK.findall(header):
        rel = _REL.search(parameters)
        if rel and "next" in (rel[1] or rel[2] or "").lower().split():
            return str(target).strip()
    return None


def _rels(header: str) -> set[str]:
    return {
        name
        for _, parameters in _LINK.findall(header)
        for rel in [_REL.search(parameters)]
        if rel
        for name in (rel[1] or rel[2] or "").lower().split()
    }


def _frames(envelope: Any) -> Iterator[Mapping[str, Any]]:
    """The envelope, and the objects in it that hold paging facts by custom."""
    if isinstance(envelope, Mapping):
        yield envelope
        for name in _FRAMES:
            inner = envelope.get(name)
            if isinstance(inner, Mapping):
                yield inner


def _more(frame: Mapping[str, Any]) -> Iterator[bool]:
    yield from (frame[name] for name in _MORE if isinstance(frame.get(name), bool))
    yield from (not frame[name] for name in _LAST if isinstance(frame.get(name), bool))
    yield from (frame[name] not in (None, "", False) for name in _NEXT if name in frame)


def _is_rest_framework(frame: Mapping[str, Any]) -> bool:
    """Django REST framework's envelope, in which `count` is the total; elsewhere it counts the page."""
    return "next" in frame and "previous" in frame and "count" in frame


def _first_count(frames: list[Mapping[str, Any]], names: tuple[str, ...]) -> int | None:
    for frame in frames:
        for name in names:
            found = _count(frame.get(name))
            if found is not None:
                return found
    return None


def _count(value: Any) -> int | None:
    """A whole number, also as text; None for anything else (an estimate is often an object)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 18:
        return int(value)
    return None
