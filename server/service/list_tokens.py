"""Page sizes and page tokens of list calls. A token is the last id of the page before."""

from __future__ import annotations

import re
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1000
# Far beyond any id, and within what a database takes for a number.
TOKEN: Final = re.compile(r"[1-9][0-9]{0,17}")


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


def before_id(token: str) -> int | None:
    """The id below which the page begins, or None for the first page.

    Raises:
        InvalidRequestError: the token is not one of this service's.
    """
    if not token:
        return None
    if not TOKEN.fullmatch(token):
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "pageToken is not one that this service gave out", field="pageToken"
        )
    return int(token)


def next_token(ids: list[int], size: int) -> str:
    """The token of the next page, empty on the last; `ids` holds one more than the page when there is a next one."""
    return str(ids[size - 1]) if len(ids) > size else ""
