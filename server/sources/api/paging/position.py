"""Where a reading of an API stands; goes into the checkpoint as JSON and comes back on resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.sources.api.paging.evidence import Evidence
from server.sources.contract import POSITION_MARK, POSITION_SAME_PAGE


@dataclass(frozen=True, slots=True)
class PagingState:
    """The place after a page.

    Args:
        place: where the next page is, as the paging object says it.
        pages, items, bytes_read: counts so far.
        page_items_max: items on the fullest page so far.
        last_count: items on the last page.
        total: items in all pages as the source last said; None when it never did.
        total_is_count: whether each total so far was just the number of items on its page.
        digest: of the keys of the last page with items; empty before the first page.
        done: whether the source said that the last page was read.
        since: with incremental, the value that the run asks for; empty for none.
        is_full: with incremental, whether the run leaves out nothing that was seen before.
        mark, mark_rank: with incremental, the highest value seen (see watermark.py).
        evidence: what the verdict on the walk rests on.
    """

    place: Mapping[str, Any]
    pages: int = 0
    items: int = 0
    bytes_read: int = 0
    page_items_max: int = 0
    last_count: int = 0
    total: int | None = None
    total_is_count: bool = True
    digest: str = ""
    done: bool = False
    since: str = ""
    is_full: bool = True
    mark: str = ""
    mark_rank: str = ""
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def is_all(self) -> bool:
        """Whether as many items came as the source says that it has, and not only that a page has."""
        return self.total is not None and self.items >= self.total and not self.total_is_count

    def to_json(self) -> dict[str, Any]:
        """The checkpoint's form."""
        mark = {"value": self.mark, "rank": self.mark_rank, "isFull": self.is_full}
        return {
            "place": dict(self.place),
            "pages": self.pages,
            "items": self.items,
            "bytesRead": self.bytes_read,
            "pageItemsMax": self.page_items_max,
            "lastCount": self.last_count,
            "total": self.total,
            "totalIsCount": self.total_is_count,
            "digest": self.digest,
            "done": self.done,
            "since": self.since,
            "isFull": self.is_full,
            "evidence": self.evidence.to_json(),
            POSITION_SAME_PAGE: self.evidence.same_page,
            **({POSITION_MARK: mark} if self.mark else {}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PagingState:
        """The position that `to_json` wrote.

        Raises:
            KeyError, ValueError, TypeError: it is no such document.
        """
        mark = document.get(POSITION_MARK, {})
        return cls(
            place=dict(document["place"]),
            pages=int(document["pages"]),
            items=int(document["items"]),
            bytes_read=int(document["bytesRead"]),
            page_items_max=int(document["pageItemsMax"]),
            last_count=int(document["lastCount"]),
            total=None if document["total"] is None else int(document["total"]),
            total_is_count=bool(document["totalIsCount"]),
            digest=str(document["digest"]),
            done=bool(document["done"]),
            since=str(document.get("since", "")),
            is_full=bool(document.get("isFull", True)),
            mark=str(mark.get("value", "")),
            mark_rank=str(mark.get("rank", "")),
            evidence=Evidence.from_json(document.get("evidence", {})),
        )
