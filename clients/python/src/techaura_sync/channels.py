"""What the blocking and the asyncio grpc library do differently; scripts/blocking_client.py exchanges the names."""

from __future__ import annotations

from typing import Any

Metadata = tuple[tuple[str, str], ...]


def answered(call: Any, request: Any, timeout_seconds: float) -> tuple[Any, Any]:
    """The response of a call and its trailing metadata."""
    answer, made = call.with_call(request, timeout=timeout_seconds)
    return answer, made.trailing_metadata()


async def aio_answered(call: Any, request: Any, timeout_seconds: float) -> tuple[Any, Any]:
    """The response of a call and its trailing metadata."""
    made = call(request, timeout=timeout_seconds)
    return await made, await made.trailing_metadata()


def bearer(token: str) -> Metadata:
    """The metadata of a call that is made with an API key or a token; none without one."""
    return (("authorization", f"Bearer {token}"),) if token else ()
