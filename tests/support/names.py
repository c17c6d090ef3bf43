"""Names that resolve to what a test says, in place of the network's."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# A name -> its addresses.
Answering = Callable[[str], Sequence[str]]


@contextmanager
def names_resolved(answer: Answering) -> Iterator[None]:
    """What the system's resolver answers while the block runs; texts that are addresses themselves are still read as such."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(host, port, *rest, **options)
        families = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in answer(host)]
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in families]

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        socket.getaddrinfo = real
