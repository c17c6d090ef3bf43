"""The keys of a page's items, by which a walk knows them again: what their rows have as their key, whatever their other bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.sources.api.item_mapper import ItemMapper
from server.sources.api.items.json_page import Page
from server.targets.base import Target

_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class ItemKeys:
    """The keys of a page.

    Args:
        keys: of each item that is one.
        nulls: entries that are null, which are no items.
        no_keys: items without a key of their own; they stand in `keys` with their whole text.
        looks: where there are such items, a digest of what makes their rows' identity; else empty.
    """

    keys: Sequence[str]
    nulls: int = 0
    no_keys: int = 0
    looks: str = ""


class KeysOfItems:
    """Finds the keys of items.

    Args:
        mapper: how items become rows of the target.
    """

    def __init__(self, target: Target, mapper: ItemMapper) -> None:
        self._mapper = mapper
        own = (target.identity_column,) if target.identity_column else target.key
        self._own = [column for column in own if column in mapper.columns]
        self._content = [column for column in target.content_key if column in mapper.columns]

    def of(self, page: Page) -> ItemKeys:
        """The keys of a page."""
        values, texts, nulls = page.values, page.texts, 0
        if any(type(value) is not dict for value in values):
            nulls = sum(value is None and index not in page.refused for index, value in enumerate(values))
            places = [index for index, value in enumerate(values) if type(value) is dict]
            others = [
                texts[index]
                for index, value in enumerate(values)
                if type(value) is not dict and (value is not None or index in page.refused)
            ]
            values, texts = [values[index] for index in places], [texts[index] for index in places]
        else:
            others = []
        found = self._mapper.texts_of(self._own, values, texts)
        if not found:
            return ItemKeys([*texts, *others], nulls, len(texts))
        columns = list(found.values())
        keys = list(columns[0]) if len(columns) == 1 else [_joined(row) for row in zip(*columns, strict=True)]
        no_keys = sum(key is None for key in keys)
        whole = [text if key is None else key for key, text in zip(keys, texts, strict=True)] if no_keys else keys
        looks = self._looks(values, texts) if no_keys else ""
        return ItemKeys([*(key or "" for key in whole), *others], nulls, no_keys, looks)

    def _looks(self, values: Sequence[Any], texts: Sequence[str]) -> str:
        """A digest of what the rows of items without a key are told apart by; empty where that is one thing for all."""
        columns = self._mapper.texts_of(self._content, values, texts).values()
        rows = sorted("\x1f".join(text or "" for text in row) for row in zip(*columns, strict=True))
        if len(set(rows)) < 2:
            return ""
        digest = hashlib.blake2b("\x1e".join(rows).encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES)
        return digest.hexdigest()


def _joined(row: Sequence[str | None]) -> str | None:
    """A key of several columns; None where one of them has no value."""
    return None if None in row else "\x1f".join(filter(None, row))


KeysOf = Callable[[Page], ItemKeys]
