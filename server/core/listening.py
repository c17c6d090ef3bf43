"""Where a server listens: host names, addresses of both kinds (with brackets or without) and, for gRPC, socket files."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

_SOCKET_FILE: Final = "unix:"
_LOCALHOST: Final = "localhost"


def bare_host(host: str) -> str:
    """A host without the brackets that an IPv6 address has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def grpc_address(host: str, port: int) -> str:
    """What gRPC takes for a host and a port; a socket file (`unix:/path`) has no port."""
    bare = bare_host(host)
    if bare.startswith(_SOCKET_FILE):
        return bare
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def grpc_target(host: str, port: int) -> str:
    """How a program on the same machine reaches a gRPC server that listens there."""
    bare = bare_host(host)
    try:
        address = ip_address(bare)
    except ValueError:
        return grpc_address(host, port)
    if address.is_unspecified:
        bare = "::1" if address.version == 6 else "127.0.0.1"
    return grpc_address(bare, port)


def is_local(host: str) -> bool:
    """Whether only programs on this machine reach who listens there."""
    bare = bare_host(host).lower().rstrip(".")
    if bare.startswith(_SOCKET_FILE) or bare == _LOCALHOST:
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False
