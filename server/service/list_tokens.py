"""Page sizes and page tokens of list calls.

A token is the last id of the page before; of a list that is narrowed down by free texts, with a mark of those.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1000
# Far beyond any id, and within what a database takes for a number.
TOKEN: Final = re.compile(r"[1-9][0-9]{0,17}")
# Of a list that may be narrowed down.
MARKED_TOKEN: Final = re.compile(rf"({TOKEN.pattern})(?:\.([0-9a-f]{{8}}))?")


def page_size(requested: int) -> int:
    """The page size to use.

    Raises:
        InvalidRequestError: it is negative or over PAGE_SIZE_MAX.
    """
    if requested < 0 or requested > PAGE_SIZE_MAX:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, f"pageSize must be between 1 and {PAGE_SIZE_MAX}", field="pageSize"
        )
    return requested or PAGE_SIZE_DEFAULT


def before_id(token: str, filters: Sequence[str] = ()) -> int | None:
    """The id below which the page begins, or None for the first page.

    Args:
        filters: the texts that narrow the list down.

    Raises:
        InvalidRequestError: the token is not one of this service's, or of a list with other filters.
    """
    if not token:
        return None
    found = MARKED_TOKEN.fullmatch(token)
    if found is None:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "pageToken is not one that this service gave out", field="pageToken"
        )
    if (found[2] or "") != _mark(filters):
        text = "pageToken is of a list with another filter; ask for its first page with this one"
        raise InvalidRequestError(Reason.INVALID_REQUEST, text, field="pageToken")
    return int(found[1])


def next_token(ids: Sequence[int], size: int, filters: Sequence[str] = (), *, looked_to: int = 0) -> str:
    """The token of the next page, empty on the last.

    Args:
        ids: those of the page, and one or more behind it where there is a next one.
        filters: as for `before_id`.
        looked_to: the id at which the search for more was given up; 0 where it was not.
    """
    last = ids[size - 1] if len(ids) > size else looked_to
    mark = _mark(filters)
    return "" if not last else f"{last}.{mark}" if mark else str(last)


def _mark(filters: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(filters).encode()).hexdigest()[:8] if any(filters) else ""
