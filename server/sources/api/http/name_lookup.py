"""Looking up the addresses of a host, in threads of their own.

The system's resolver blocks its thread, for half a minute where a name server does not answer, and cannot be cancelled. In the threads
that all else uses (files, hashing, the pipeline) a few such hosts would hold up every run.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Final

# Further look-ups wait for their turn, each within its own timeout.
LOOKUPS_CONCURRENT_MAX: Final = 16


async def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, each once, in the resolver's order.

    Raises:
        OSError, UnicodeError: it cannot be resolved.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    answers = await asyncio.get_running_loop().run_in_executor(_threads(), look_up)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LOOKUPS_CONCURRENT_MAX, thread_name_prefix="name-lookup")
