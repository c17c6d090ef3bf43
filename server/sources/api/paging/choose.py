"""Chooses the paging object for the options, and finds it out from the first page where the options say `auto`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from server.sources.api import urls
from server.sources.api.items.paths import find, way_of
from server.sources.api.options import ApiKeyAuth, ApiOptions
from server.sources.api.paging.counted import (
    PAGE_ITEMS,
    NumberPaging,
    OffsetPaging,
    OnePage,
    PageFacts,
    PageToken,
    Paging,
    size_of,
)
from server.sources.api.paging.hints import HintPlaces
from server.sources.api.paging.linked import CURSOR_PATHS, NEXT_URL_PATHS, CursorPaging, LinkPaging, find_token

# Where tokens stand by custom beside the contract's places, and the parameter that they go back in.
_CUSTOM_CURSORS: Final = {
    "nextPageToken": "pageToken",
    "next_page_token": "page_token",
    "meta.next_cursor": "cursor",
    "meta.nextCursor": "cursor",
    "response_metadata.next_cursor": "cursor",
    "paging.cursors.after": "after",
    "paging.next.after": "after",
    "continuation": "continuation",
    "continuationToken": "continuationToken",
}
# What AutoPaging has found out, in its places.
_FOUND: Final = ("as", "path", "param", "zero", "from")


def choose_paging(options: ApiOptions, url: str, secrets: Collection[str] = ()) -> Paging:
    """The paging object for the options of a source.

    Args:
        secrets: what requests carry, which some sources say back in the URLs of other pages.
    """
    chosen = options.pagination
    if not chosen.enabled:
        return OnePage()
    # A size that stands in the URL is the caller's own.
    in_url = (urls.parameter(url, chosen.limit_param) or "") if chosen.limit_param else ""
    size = chosen.page_size or (int(in_url) if in_url.isdecimal() and 0 < int(in_url) <= 100_000 else PAGE_ITEMS)
    auth = options.auth
    secret = auth.api_key_param if isinstance(auth, ApiKeyAuth) else None
    secret_params = frozenset([secret] if secret else [])
    secret_values = frozenset(secrets)
    # Without a parameter for it no size is asked for, and a page is full by the fullest one.
    asked = size if chosen.limit_param else 0
    first_page = 1 if chosen.first_page is None else chosen.first_page
    number = NumberPaging(chosen.page_param, chosen.limit_param, asked, first_page)
    offset = OffsetPaging(chosen.offset_param, chosen.limit_param, asked, chosen.first_page or 0)
    cursor_paths = (chosen.cursor_path,) if chosen.cursor_path else () if chosen.cursor_header else CURSOR_PATHS
    cursor = CursorPaging(
        chosen.cursor_param,
        chosen.limit_param,
        size,
        cursor_paths,
        chosen.cursor_header or "",
        secret_params,
        secret_values,
    )
    next_paths = (chosen.next_url_path,) if chosen.next_url_path else NEXT_URL_PATHS
    link = LinkPaging(chosen.limit_param, size, next_paths, secret_params, secret_values)
    by_type: dict[str, Paging] = {
        "page": number,
        "offset": offset,
        "cursor": cursor,
        "link": link,
        "auto": AutoPaging(number, offset, cursor, link),
    }
    return by_type[chosen.type]


def hint_places(options: ApiOptions) -> HintPlaces:
    """Where the pages of a source tell of other pages, beside the places that are customary."""
    chosen = options.pagination
    paths = [path for path in (options.data_path, chosen.cursor_path, chosen.next_url_path) if path]
    ways = tuple(dict.fromkeys(way[:-1] for way in map(way_of, paths) if len(way) > 1))
    stop_value = "true" if chosen.stop_value is None else chosen.stop_value
    return HintPlaces(ways, chosen.total_path or "", chosen.pages_path or "", chosen.stop_path or "", stop_value)


def paging_seen(options: ApiOptions, url: str, page: PageFacts) -> str:
    """How a page looks to be paged, in words: `link`, `cursor at meta.next_cursor (cursor)`, `offset`, `page` or `none`."""
    auto = options.pagination.model_copy(update={"enabled": True, "type": "auto"})
    paging = choose_paging(options.model_copy(update={"pagination": auto}), url)
    found = paging.detect(page) if isinstance(paging, AutoPaging) else {}
    kind = str(found.get("as", ""))
    if "from" in found:
        return f"offset from {found['from']} (parameter {found['param']})"
    if "path" in found:
        return f"{kind} at {found['path']} (parameter {found['param']})"
    signals = page.signals
    says_nothing = not signals.more and (signals.pages or 0) <= 1 and (signals.total or 0) <= page.items_after
    return "none" if kind in ("page", "offset") and says_nothing else kind


def paging_found(paging: Paging, place: PageToken, page: PageFacts) -> PageToken:
    """What is kept of the place of the last page: how `auto` has found the source to be paged."""
    if not isinstance(paging, AutoPaging):
        return {}
    return {"as": place["as"] if "as" in place else paging.detect(page)["as"]}


@dataclass(frozen=True, slots=True)
class AutoPaging:
    """Finds out from the first page how the source is paged, and keeps to that; the place holds what was found.

    Order of looking: a link to the next page, a token, an `offset` in the envelope, and else page numbers. Where the
    guess is wrong the guards stop the run: it ends with an error, never early.
    """

    number: NumberPaging
    offset: OffsetPaging
    cursor: CursorPaging
    link: LinkPaging

    def first(self) -> PageToken:
        """Begin with the source's own URL."""
        return {}

    def parameters(self, place: PageToken) -> Mapping[str, int | str]:
        """Send the size with the first request, then what the found paging sends."""
        if "as" not in place:
            return size_of(self.link.limit_param, self.link.page_items)
        return self._found(place).parameters(_inner(place))

    def next(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Find out on the first page; then decide as the found paging does."""
        if "as" in place:
            return self._wrapped(place, self._found(place).next(_inner(place), page))
        found = self.detect(page)
        paging = self._found(found)
        return self._wrapped(found, paging.next(paging.first(), page))

    def predicted_next(self, place: PageToken, page_items: int) -> PageToken | None:
        """Guess as the found paging does."""
        return (
            self._wrapped(place, self._found(place).predicted_next(_inner(place), page_items))
            if "as" in place
            else None
        )

    def early(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Look as the found paging does."""
        return self._wrapped(place, self._found(place).early(_inner(place), page)) if "as" in place else None

    def names_next(self, place: PageToken, page: PageFacts) -> bool:
        """Look as the found paging does, or would."""
        found = place if "as" in place else self.detect(page)
        return self._found(found).names_next(_inner(found), page)

    def asked_items(self, place: PageToken) -> int | None:
        """As the found paging does."""
        return self._found(place).asked_items(_inner(place)) if "as" in place else None

    def detect(self, page: PageFacts) -> PageToken:
        """What the page shows."""
        if page.signals.link or _is_text(find_token(page, self.link.paths, "", strict=False)[1]):
            return {"as": "link"}
        if find_token(page, self.cursor.paths, self.cursor.header, strict=False)[1]:
            return {"as": "cursor"}
        for path, parameter in _CUSTOM_CURSORS.items():
            if find_token(page, (path,), "", strict=False)[1]:
                return {"as": "cursor", "path": path, "param": parameter}
        for kind, paths in (("link", self.link.paths), ("cursor", self.cursor.paths)):
            # A place for the next page that is there, and empty: this is how the source says that there is none.
            if any(
                there and value in (None, "", False) for there, value in (find(page.envelope, path) for path in paths)
            ):
                return {"as": kind}
        for path, parameter in _CUSTOM_CURSORS.items():
            there, value = find(page.envelope, path)
            if there and value in (None, ""):
                return {"as": "cursor", "path": path, "param": parameter}
        if _number_in(page.envelope, "offset") is not None:
            return {"as": "offset"}
        if (begin := _number_in(page.envelope, "startIndex")) in (0, 1):
            # SCIM (RFC 7644) counts items from 1.
            return {"as": "offset", "param": "startIndex", "from": begin}
        return {"as": "page", "zero": True} if page.signals.number == 0 else {"as": "page"}

    def _found(self, place: PageToken) -> Paging:
        if place["as"] == "cursor" and "path" in place:
            return replace(self.cursor, paths=(str(place["path"]),), cursor_param=str(place["param"]), header="")
        by_name: dict[str, Paging] = {"link": self.link, "cursor": self.cursor, "offset": self.offset}
        if place["as"] == "offset" and "param" in place:
            limit_param = "count" if self.offset.limit_param == "limit" else self.offset.limit_param
            return replace(
                self.offset,
                offset_param=str(place["param"]),
                limit_param=limit_param,
                first_offset=int(place["from"]),
            )
        number = replace(self.number, first_page=0) if place.get("zero") else self.number
        return by_name.get(str(place["as"]), number)

    def _wrapped(self, found: PageToken, place: PageToken | None) -> PageToken | None:
        if place is None:
            return None
        return {**place, **{name: found[name] for name in _FOUND if name in found}}


def _inner(place: PageToken) -> PageToken:
    return {name: value for name, value in place.items() if name not in _FOUND}


def _is_text(token: str | None) -> bool:
    """Whether a token at a place for links is one: some sources put the next page's number there."""
    return token is not None and not token.isdecimal() and ("/" in token or "?" in token)


def _number_in(envelope: Any, name: str) -> int | None:
    """The whole number of that name in the envelope, or where paging stands in it by custom."""
    if not isinstance(envelope, Mapping):
        return None
    for frame in (envelope, *(envelope.get(inner) for inner in ("meta", "pagination", "paging", "page"))):
        if isinstance(frame, Mapping) and isinstance(frame.get(name), int) and not isinstance(frame[name], bool):
            return int(frame[name])
    return None
