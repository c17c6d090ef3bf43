"""Response headers that tell of other pages."""

from __future__ import annotations

import re
from typing import Final

# How headers end that hold the number of items and of pages, whatever their prefix.
TOTAL_ENDS: Final = ("total-count", "-total")
PAGES_ENDS: Final = ("-totalpages", "-total-pages")
# X-RateLimit-Total and the like count requests.
_OTHERS: Final = re.compile("rate-?limit|quota")


def is_paging_header(name: str) -> bool:
    """Whether a header tells of other pages; its name in lower case."""
    return name in ("link", "content-range") or counts(name, (*TOTAL_ENDS, *PAGES_ENDS))


def counts(name: str, ends: tuple[str, ...]) -> bool:
    """Whether a header that ends in one of these is about items or pages."""
    return name.endswith(ends) and not _OTHERS.search(name)
