"""What the blocking and the asyncio grpc library do differently; scripts/blocking_client.py exchanges the names."""

from __future__ import annotations

from typing import Any


def answered(call: Any, request: Any, timeout_seconds: float) -> tuple[Any, Any]:
    """The response of a call and its trailing metadata."""
    answer, made = call.with_call(request, timeout=timeout_seconds)
    return answer, made.trailing_metadata()


async def aio_answered(call: Any, request: Any, timeout_seconds: float) -> tuple[Any, Any]:
    """The response of a call and its trailing metadata."""
    made = call(request, timeout=timeout_seconds)
    return await made, await made.trailing_metadata()
