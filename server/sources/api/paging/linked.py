"""Paging by what each page says of the next one: a cursor, or a whole URL, in the body or in a header.

The rules stand in counted.py. A flag that says no more ends the walk, whatever cursor or address stands beside it, and so
does a page without items that names itself. Cursors and URLs are bounded, and kept in the checkpoint without the query parameters that
are secrets of ours, which some sources say back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.sources.api import urls
from server.sources.api.items.paths import find
from server.sources.api.paging.counted import PageFacts, PageToken, size_of
from server.sources.exact_json.json_values import NumberText, to_text

TOKEN_CHARS_MAX: Final = 8192
# Some tokens are texts of base64 with a question mark before them, or a slash.
_QUERY: Final = re.compile(r"(?:/[^?]*)?\?[^=&?]+=[^?]*")
# The contract's five, in its order.
CURSOR_PATHS: Final = ("cursor", "nextCursor", "next_cursor", "pagination.cursor", "pagination.nextCursor")
NEXT_URL_PATHS: Final = (
    "next",
    "next_url",
    "nextUrl",
    "next_page_url",
    "nextLink",
    "next_link",
    "@odata.nextLink",
    "links.next",
    "links.next.href",
    "_links.next",
    "_links.next.href",
    "paging.next",
    "pagination.next",
    "pagination.next_url",
    "meta.next",
    "meta.next_url",
)


class NoNextPageError(FatalError):
    """A first page is full and names no next one: it is the only one, or names it where nobody looks."""


@dataclass(frozen=True, slots=True)
class CursorPaging:
    """Pages by a token that the page before gives; a token that is a URL is followed.

    Args:
        cursor_param, limit_param: names of the parameters.
        page_items: items asked for.
        paths: where the token is looked for in the body.
        header: where it is looked for in the response; empty for nowhere.
        secret_params: query parameters that are never kept.
        secret_values: nor are those with such a value.
    """

    cursor_param: str
    limit_param: str
    page_items: int
    paths: tuple[str, ...] = CURSOR_PATHS
    header: str = ""
    secret_params: frozenset[str] = frozenset()
    secret_values: frozenset[str] = frozenset()

    def first(self) -> PageToken:
        """Begin without a cursor."""
        return {}

    def parameters(self, place: PageToken) -> Mapping[str, int | str]:
        """Send the cursor, if there is one, and the size."""
        size = size_of(self.limit_param, self.page_items)
        return {self.cursor_param: _sent(place), **size} if "cursor" in place else size

    def next(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Take the next cursor; there is none when the page has none and nothing in it says otherwise."""
        stated, cursor = find_token(page, self.paths, self.header)
        if cursor is None:
            check_end(place, page, self.page_items, stated=stated, where=(*self.paths, *filter(None, [self.header])))
            return None
        # A source that goes on giving cursors but says that this is the end is believed.
        if page.signals.more is False:
            return None
        following = self._place(page, cursor)
        return None if page.count == 0 and names_itself(place, following, page) else following

    def _place(self, page: PageFacts, cursor: str) -> PageToken:
        if _is_url(cursor):
            return {"url": urls.followed(page.url, cursor, self.secret_params, self.secret_values)}
        # The checkpoint keeps the kind of a cursor beside its text.
        return {"cursor": str(cursor), "isJson": True} if isinstance(cursor, NumberText) else {"cursor": cursor}

    def predicted_next(self, place: PageToken, page_items: int) -> PageToken | None:
        """Make none: the page names the next one."""
        return None

    def early(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Take the cursor that is seen, if there is one."""
        _stated, cursor = find_token(page, self.paths, self.header, strict=False)
        if not cursor or page.signals.more is False:
            return None
        following = self._place(page, cursor)
        return None if names_itself(place, following, page) else following

    def names_next(self, place: PageToken, page: PageFacts) -> bool:
        """Look as `early` does."""
        return self.early(place, page) is not None

    def asked_items(self, place: PageToken) -> int | None:
        """None: the source gave this cursor itself."""
        return None


@dataclass(frozen=True, slots=True)
class LinkPaging:
    """Pages by a URL: rel=next in the Link header (RFC 8288), or in the body.

    Args: as for `CursorPaging`.
    """

    limit_param: str
    page_items: int
    paths: tuple[str, ...] = NEXT_URL_PATHS
    secret_params: frozenset[str] = frozenset()
    secret_values: frozenset[str] = frozenset()

    def first(self) -> PageToken:
        """Begin with the source's own URL."""
        return {}

    def parameters(self, place: PageToken) -> Mapping[str, int | str]:
        """Send the size with the first request; later URLs hold what they need."""
        return size_of(self.limit_param, self.page_items)

    def next(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Follow the link; there is none when the page has none and nothing in it says otherwise."""
        stated, target = find_token(page, self.paths, "")
        target = page.signals.link or target
        if target is None:
            stated = stated or page.signals.more is not None
            check_end(place, page, self.page_items, stated=stated, where=("the Link header", *self.paths))
            return None
        if page.signals.more is False:
            return None
        following = {"url": urls.followed(page.url, target, self.secret_params, self.secret_values)}
        return None if page.count == 0 and names_itself(place, following, page) else following

    def predicted_next(self, place: PageToken, page_items: int) -> PageToken | None:
        """Make none: the page names the next one."""
        return None

    def early(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Follow the link that is seen, if there is one."""
        target = page.signals.link or find_token(page, self.paths, "", strict=False)[1]
        if target is None or page.signals.more is False:
            return None
        following = {"url": urls.followed(page.url, target, self.secret_params, self.secret_values)}
        return None if names_itself(place, following, page) else following

    def names_next(self, place: PageToken, page: PageFacts) -> bool:
        """Look as `early` does."""
        return self.early(place, page) is not None

    def asked_items(self, place: PageToken) -> int | None:
        """None: the source gave this URL itself."""
        return None


def find_token(page: PageFacts, paths: tuple[str, ...], header: str, *, strict: bool = True) -> tuple[bool, str | None]:
    """Whether the page has a place for a token, and the first token that stands in one: what is no text as its JSON.

    0 is none, for no next page is the first one.

    Args:
        strict: whether an array or object in such a place is an error; else it is passed over.

    Raises:
        FatalError: SOURCE_MALFORMED, a token is longer than TOKEN_CHARS_MAX, or is none.
    """
    stated = bool(header) and header.lower() in page.headers
    found = page.headers.get(header.lower(), "").strip() if header else ""
    found = "" if found == "0" else found
    for path in paths if not found else ():
        there, value = find(page.envelope, path)
        stated = stated or there
        is_plain = isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", "0", 0)
        # Where the caller names the one place, whatever stands there is the cursor; elsewhere objects are no sign of one.
        if is_plain or (len(paths) == 1 and isinstance(value, list | Mapping) and value):
            found = value if type(value) is str else NumberText(to_text(value))
            break
        # An object is passed over where a path leads into it, such as links.next and links.next.href.
        is_way = isinstance(value, Mapping) and any(longer.startswith(f"{path}.") for longer in paths)
        if strict and isinstance(value, list | Mapping) and not is_way:
            raise FatalError(
                Reason.SOURCE_MALFORMED, f"the next cursor at {path} is no text or number", category=Category.PARSING
            )
    if len(found) > TOKEN_CHARS_MAX:
        raise FatalError(
            Reason.SOURCE_MALFORMED,
            f"the next cursor is longer than {TOKEN_CHARS_MAX} characters",
            category=Category.PARSING,
        )
    return stated, found or None


def check_end(place: PageToken, page: PageFacts, page_items: int, *, stated: bool, where: tuple[str, ...]) -> None:
    """Check a page without a next one: whether the source said that it is the last.

    Raises:
        FatalError: SOURCE_MALFORMED, it says that there are more, or it is a full first page that says nothing.
    """
    why = ""
    if page.signals.more:
        why = "says that there are more pages"
    elif not place and not stated and page.count >= page_items and page.signals.more is None:
        total = page.signals.total
        why = "is full" if total is None or page.items_after < total else ""
    if why:
        kind = NoNextPageError if why == "is full" else FatalError
        raise kind(
            Reason.SOURCE_MALFORMED,
            f"a page {why} but does not name the next one at {', '.join(where)}; choose the pagination that it has",
            category=Category.PARSING,
        )


def names_itself(place: PageToken, following: PageToken, page: PageFacts) -> bool:
    """Whether a page gives its own place as the next one."""
    here = dict(place) if place else {"url": page.url}
    return dict(following) == here or ("url" in following and following["url"] == page.url)


def _sent(place: PageToken) -> str:
    """The cursor as it goes out: what is no text is JSON, in a body a value of its own kind."""
    text = str(place["cursor"])
    return NumberText(text) if place.get("isJson") else text


def _is_url(token: str) -> bool:
    """Whether a token is an address: with a scheme, or with a query of name=value."""
    if isinstance(token, NumberText):
        return False
    return token.startswith(("http://", "https://")) or bool(_QUERY.fullmatch(token))
