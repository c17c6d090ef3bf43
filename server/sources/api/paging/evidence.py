"""What a walk has found out about the list that it reads, beside the items; a part of its checkpoint.

The verdict on the walk rests on it (verdict.py), so it must survive whatever interrupts the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from server.sources.api.paging.key_memory import KeySample, PageKeys


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known after a page.

    Args:
        keys: some of the keys so far, for the run that goes on from here.
        repeated: items whose key an earlier page had.
        same_page: items whose key stands on the same page a further time; a list may hold an item twice.
        no_keys: items without a key of their own.
        nulls: entries of the list that were null, which are no items.
        first_total, least_total, most_total: totals as the source said them; None when it never did.
        empty_in_row: pages without items since the last one with some.
        stale_in_row: pages with items, but without a new key, since the last one with some.
        is_partial: whether keys of pages before an interruption are known in part only.
        is_sampled: whether there were too many keys to remember all of them.
        is_shorter: whether a page before the last held fewer items than another one.
        is_untold: whether a page could have broken off without a sign.
        assumed: why the end is assumed and not known; empty where the source told it.
    """

    keys: KeySample = field(default_factory=KeySample)
    repeated: int = 0
    same_page: int = 0
    no_keys: int = 0
    nulls: int = 0
    first_total: int | None = None
    least_total: int | None = None
    most_total: int | None = None
    empty_in_row: int = 0
    stale_in_row: int = 0
    is_partial: bool = False
    is_sampled: bool = False
    is_shorter: bool = False
    is_untold: bool = False
    assumed: str = ""

    @property
    def total_moved(self) -> bool:
        """Whether the source has said different totals."""
        return self.least_total != self.most_total

    def with_page(self, keys: PageKeys, *, items: int, nulls: int, no_keys: int) -> Evidence:
        """After a page.

        Args:
            items: entries on it, nulls included.
        """
        found = items - nulls
        # Pages without items are no sign of new ones, nor of old ones.
        stale = self.stale_in_row if not found else self.stale_in_row + 1 if keys.is_stale else 0
        return replace(
            self,
            keys=self.keys.with_new(keys.new),
            repeated=self.repeated + keys.repeated,
            same_page=self.same_page + found - keys.count,
            no_keys=self.no_keys + no_keys,
            nulls=self.nulls + nulls,
            empty_in_row=0 if items else self.empty_in_row + 1,
            stale_in_row=stale,
        )

    def with_total(self, total: int | None) -> Evidence:
        """After a page that stated a total, or none."""
        if total is None:
            return self
        if self.first_total is None or self.least_total is None or self.most_total is None:
            return replace(self, first_total=total, least_total=total, most_total=total)
        return replace(self, least_total=min(self.least_total, total), most_total=max(self.most_total, total))

    def resumed(self) -> Evidence:
        """As a run sees it that goes on from a checkpoint: what is no part of the sample is forgotten."""
        return replace(self, is_partial=True) if self.keys.zeros else self

    def to_json(self) -> dict[str, Any]:
        """The checkpoint's form: what is not as it was at the beginning."""
        start = Evidence()
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "keys"}
        changed = {name: value for name, value in found.items() if value != getattr(start, name)}
        return {"keys": self.keys.to_json(), **changed}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evidence:
        """The evidence that `to_json` wrote; of a checkpoint of an earlier build, which has none, nothing is known.

        Raises:
            KeyError, ValueError, TypeError: it is no such document.
        """
        if not document:
            return cls(is_partial=True)
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in document.items() if name in known and name != "keys"}
        return cls(keys=KeySample.from_json(document["keys"]), **values)
