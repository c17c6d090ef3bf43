"""The verdict on a walk: what contradicts itself, what a person should know, and what a mirror must not act on.

The rules are the table in docs/guides/rest-api.md. A total is compared with the items that came, for a list may hold an
item twice; where items came on more than one page, with the distinct ones as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from server.core.errors import RetryableError
from server.sources.api.options import ApiOptions
from server.sources.api.paging.counted import FIRST_PAGE_HINT, contradiction
from server.sources.api.paging.position import PagingState

_EXACT_TYPES: Final = ("page", "offset")
_OFFSET_HINT: Final = "If the source counts its items from 1, set options.pagination.firstPage to 1"


def check_total(after: PagingState, options: ApiOptions) -> None:
    """Compare an exact total with what came, once the source's last page is read.

    Raises:
        RetryableError: SOURCE_CHANGED, they differ.
    """
    if total_means(after, options) == "exact" and not _agrees(after):
        raise _contradiction(after, options)


def total_means(after: PagingState, options: ApiOptions) -> str:
    """What a total is worth: `exact`, `estimate`, `ignore`, or `unsure` where pages are named by the source."""
    chosen = options.pagination
    kind = str(after.place.get("as", chosen.type))
    return chosen.total or ("exact" if kind in _EXACT_TYPES else "unsure")


def notices_of(after: PagingState, options: ApiOptions) -> Iterator[str]:
    """What a person should know of the walk so far."""
    found = after.evidence
    if found.is_shorter:
        yield "some pages before the last held fewer items than others; the source may filter its pages"
    if found.nulls:
        yield f"{found.nulls} entries of the source's list were null, which are no items"
    yield from doubts_of(after, options)
    if after.done and total_means(after, options) == "estimate" and not _agrees(after):
        yield f"the source said that it has about {after.total} items, and {after.items} came"


def doubts_of(after: PagingState, options: ApiOptions) -> Iterator[str]:
    """Why rows that were not seen may be in the source all the same."""
    found = after.evidence
    if found.repeated:
        least = "at least " if found.is_sampled or found.is_partial else ""
        yield (
            f"{least}{_items(found.repeated)} came on more than one page, so the order of the list is not stable and "
            "others may be missing"
        )
    if found.total_moved and not after.total_is_count and total_means(after, options) != "ignore":
        changed = f"from {found.first_total} to {after.total}"
        if found.first_total == after.total:
            changed = f"between {found.least_total} and {found.most_total}"
        yield f"the total of the source changed {changed} while it was read, so items may have moved past it"
    if found.assumed:
        yield f"the end of the source is assumed: {found.assumed}"
    if found.is_untold:
        yield (
            "the source did not tell how long its answer is, by a length or in chunks; if the connection broke between two "
            "lines, nobody can know"
        )
    if found.no_keys and found.is_partial:
        yield "the run went on in another process, and items without an identifier cannot be compared with those before"
    if after.done and total_means(after, options) == "unsure" and not _agrees(after):
        yield (
            f"the source said that it has {after.total} items, and {after.items} came; if its total is an estimate, set "
            "options.pagination.total to estimate"
        )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _agrees(after: PagingState) -> bool:
    """Whether what came is what the source said; a total that was always its page's size says nothing of the list."""
    if after.total is None or (after.total_is_count and after.pages > 1):
        return True
    found = after.evidence
    if found.total_moved and found.least_total is not None and found.most_total is not None:
        return found.least_total <= after.items <= found.most_total
    return after.total in (after.items, after.items - found.repeated)


def _contradiction(after: PagingState, options: ApiOptions) -> RetryableError:
    found, kind = after.evidence, str(after.place.get("as", options.pagination.type))
    text = (
        f"the source said that it has {after.total} items, and {after.items} came; it changed meanwhile, or its pages are "
        "incomplete"
    )
    if found.repeated:
        text += f". {found.repeated} of them came on more than one page"
    missing = (after.total or 0) - after.items
    is_unset = options.pagination.first_page is None
    if kind == "page" and is_unset and 0 < missing <= after.page_items_max:
        text += f". {FIRST_PAGE_HINT}"
    if kind == "offset" and is_unset and found.repeated:
        text += f". {_OFFSET_HINT}"
    return contradiction(text)
