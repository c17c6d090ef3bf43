"""How many files and sockets the process may have open, and how they are shared out."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

# Enough for every default of connections_max here and in gateway/config.py.
_WANTED: Final = 4096
# The gateway takes a third; what is left is for the database, files, sources, and connections that are being accepted.
_GRPC_SHARE: Final = 6


def raise_limit() -> None:
    """Raise the soft limit of open descriptors to what the service wants, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = _WANTED if hard == unlimited else min(_WANTED, hard)
    if soft != unlimited and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def grpc_connections_max(wanted: int) -> int:
    """The limit of gRPC connections: the wanted one, or what the descriptors allow."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft // _GRPC_SHARE))
