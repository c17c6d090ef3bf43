"""What a page says about the pages after it: more or not, how many items and pages there are in all.

Facts are read at the top, in the objects that hold paging by custom (down to two of them, one in the other), in the
objects on the way to the items and to the next page, and in headers. Only names are read whose meaning is the same
everywhere, unless the request says where a fact stands. Anything else, or a value of the wrong type, says nothing; a page
that says nothing never ends a run by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.sources.api.http.paging_headers import PAGES_ENDS, TOTAL_ENDS, counts
from server.sources.api.items.paths import find, value_at
from server.sources.api.paging.link_header import Link, links_of
from server.sources.exact_json.json_values import text_of

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
    "nbHits",
    "nb_hits",
)
_PAGES: Final = (
    "total_pages",
    "totalPages",
    "last_page",
    "lastPage",
    "page_count",
    "pageCount",
    "pages",
    "nbPages",
    "nb_pages",
)
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


@dataclass(frozen=True, slots=True)
class HintPlaces:
    """Where facts stand beside the customary places.

    Args:
        ways: keys of the objects that lead to the items, the cursor or the next address.
        total_path, pages_path: where the total and the number of pages stand; empty for the customary places.
        stop_path, stop_value: a place, and the text of the value there that means the end; no path for none.
    """

    ways: tuple[tuple[str, ...], ...] = ()
    total_path: str = ""
    pages_path: str = ""
    stop_path: str = ""
    stop_value: str = ""


NO_PLACES: Final = HintPlaces()


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


def read_hints(envelope: Any, headers: Mapping[str, str], places: HintPlaces = NO_PLACES) -> PageHints:
    """Read the envelope of a page and its response headers."""
    links = links_of(headers.get("link", ""))
    link = next((each for each in links if "next" in each.rels), None)
    frames = list(_frames(envelope, places.ways))
    total, pages = _total(frames, headers), _first_count(frames, _PAGES)
    if places.total_path:
        total = _count(find(envelope, places.total_path)[1])
    if places.pages_path:
        pages = _count(find(envelope, places.pages_path)[1])
    elif pages is None:
        pages = _header_count(headers, PAGES_ENDS)
    number = next((frame[name] for frame in frames for name in _NUMBER if _count(frame.get(name)) is not None), None)
    firsts = [frame[name] for frame in frames for name in _FIRST if isinstance(frame.get(name), bool)]
    return PageHints(
        _says_more(envelope, frames, links, places),
        total,
        pages,
        link.target if link else None,
        _count(number),
        firsts[0] if firsts else None,
    )


def _says_more(envelope: Any, frames: list[Mapping[str, Any]], links: list[Link], places: HintPlaces) -> bool | None:
    """Whether there is another page: a flag decides, then what names one."""
    if places.stop_path:
        there, value = find(envelope, places.stop_path)
        if there and (text_of(value) or "") == places.stop_value:
            return False
    link = next((each for each in links if "next" in each.rels), None)
    flags = {each for frame in frames for each in _flags(frame)}
    if link is not None and link.has_results is not None:
        flags.add(link.has_results)
    if flags:
        # A flag is believed, whatever address stands beside it. Where flags differ, continuing loses nothing.
        return True in flags
    named = {frame[name] not in (None, "", False) for frame in frames for name in _NEXT if name in frame}
    if link is not None:
        named.add(True)
    elif {"prev", "previous", "first"} & {rel for each in links for rel in each.rels}:
        # RFC 8288 pagers give the way back on each page and the way on where there is one.
        named.add(False)
    return True in named if named else None


def _total(frames: list[Mapping[str, Any]], headers: Mapping[str, str]) -> int | None:
    total = _first_count(frames, _TOTAL)
    if total is None and frames and _is_rest_framework(frames[0]):
        total = _count(frames[0].get("count"))
    if total is None:
        total = _header_count(headers, TOTAL_ENDS)
    if total is None:
        # `items 0-9/573`, `0-9/573`: the unit is the source's own; a range of bytes never comes here.
        total = _count(headers.get("content-range", "").rpartition("/")[2].strip())
    return total


def _header_count(headers: Mapping[str, str], ends: tuple[str, ...]) -> int | None:
    # X-RateLimit-Total and the like count requests.
    found = (_count(value.strip()) for name, value in headers.items() if counts(name, ends))
    return next((count for count in found if count is not None), None)


def _frames(envelope: Any, ways: tuple[tuple[str, ...], ...]) -> Iterator[Mapping[str, Any]]:
    """The envelope, and the objects in it that hold paging facts by custom or stand on the way to the items."""
    if not isinstance(envelope, Mapping):
        return
    yield envelope
    inner = [envelope[name] for name in _FRAMES if isinstance(envelope.get(name), Mapping)]
    yield from inner
    for frame in inner:
        yield from (frame[name] for name in _FRAMES if isinstance(frame.get(name), Mapping))
    for way in ways:
        for length in range(1, len(way) + 1):
            found = value_at(envelope, way[:length])
            if isinstance(found, Mapping) and not (length == 1 and way[0] in _FRAMES):
                yield found
                yield from (found[name] for name in _FRAMES if isinstance(found.get(name), Mapping))


def _flags(frame: Mapping[str, Any]) -> Iterator[bool]:
    yield from (frame[name] for name in _MORE if isinstance(frame.get(name), bool))
    yield from (not frame[name] for name in _LAST if isinstance(frame.get(name), bool))


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
