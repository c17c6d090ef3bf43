"""What a source keeps of the pages that it was sent, so that a later run can ask only whether they have changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server calls the state of a page by; each empty where it does not.

    Args:
        etag: the ETag header.
        last_modified: the Last-Modified header.
    """

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A page as it was sent.

    Args:
        headers: those that are needed to read it, names in lower case.
        body: decompressed.
    """

    validators: Validators
    headers: Mapping[str, str]
    body: bytes


class PageCache(Protocol):
    """The kept pages of one source with one set of options; a page is named by a key of at most 64 characters."""

    def page_key_of(self, asked: Mapping[str, str]) -> str:
        """The key of a page: a digest, from which nothing of what asks for the page can be guessed.

        Args:
            asked: the URL, and the secrets that go with it: what one may see, another may not.
        """
        ...

    async def known(self) -> Mapping[str, Validators]:
        """What may be asked for by validators: every kept page that is not too old."""
        ...

    async def get(self, key: str) -> KeptPage | None:
        """A page, or None when it is no longer kept."""
        ...

    async def put(self, pages: Mapping[str, KeptPage]) -> None:
        """Keep pages in place of what is kept under their keys, as far as there is room."""
        ...

    async def delete(self, keys: Collection[str] | None = None) -> None:
        """Forget some pages, or all."""
        ...


class NoPages:
    """Keeps nothing."""

    def page_key_of(self, _asked: Mapping[str, str]) -> str:
        """The same for every page."""
        return ""

    async def known(self) -> Mapping[str, Validators]:
        """None."""
        return {}

    async def get(self, _key: str) -> KeptPage | None:
        """None."""
        return None

    async def put(self, pages: Mapping[str, KeptPage]) -> None:
        """Keep nothing."""

    async def delete(self, keys: Collection[str] | None = None) -> None:
        """There is nothing to forget."""
