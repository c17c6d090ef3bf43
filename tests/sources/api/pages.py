"""Pages of songs, as sources give them, and the options that read them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request


def songs(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [{"id": n, "title": f"Song {n}"} for n in range(first, first + count)]


def ids(count: int) -> list[str]:
    return [str(n) for n in range(1, count + 1)]


def paged(total: int, *, size_max: int = 1000) -> Any:
    """An API with page and limit that says nothing about its end."""

    def answer(request: Request) -> Any:
        size = min(int(request.query_params["limit"]), size_max)
        first = (int(request.query_params["page"]) - 1) * size + 1
        return {"data": songs(max(0, min(size, total - first + 1)), first)}

    return answer


def by_offset(total: int, *, size_max: int = 1000) -> Any:
    def answer(request: Request) -> Any:
        first = int(request.query_params["offset"]) + 1
        size = min(int(request.query_params["limit"]), size_max)
        return {"items": songs(max(0, min(size, total - first + 1)), first)}

    return answer


PAGE = {"pagination": {"enabled": True, "type": "page"}}
OFFSET = {"pagination": {"enabled": True, "type": "offset"}}
CURSOR = {"pagination": {"enabled": True, "type": "cursor"}}
