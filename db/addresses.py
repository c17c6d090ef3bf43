"""Where a database server is: host and port, or a socket file; and which of several addresses is tried next.

A replica starts with the address that last worked. One that fails is passed over until all others have been tried.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from db.errors import DatabaseUrlError

_PORT: Final = 3306
_ADDRESSES_MAX: Final = 16
# What sockaddr_un holds on Linux, without the zero at its end.
_SOCKET_PATH_BYTES_MAX: Final = 107
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_PLACE: Final = re.compile(r"(\[(?P<ipv6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?P<colon>:(?P<port>[^:\[\]]*))?")


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a server.

    Args:
        host: a name, an IPv4 address, or an IPv6 address without brackets; unused with a socket.
        port: unused with a socket.
        socket: path of the server's socket file; empty for TCP.
    """

    host: str = "localhost"
    port: int = _PORT
    socket: str = ""

    @property
    def is_on_this_machine(self) -> bool:
        """Whether nobody can stand in between."""
        if self.socket or self.host.lower().rstrip(".") == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """As texts and the log name it."""
        if self.socket:
            return f"the socket {self.socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def addresses(text: str) -> tuple[Address, ...]:
    """The addresses of a URL's host part, `host:port,[ipv6]:port,...`; an empty one is localhost.

    Raises:
        DatabaseUrlError: one cannot be right; it is told by its position, since it may be a part of a password.
    """
    if not text:
        return (Address(),)
    pieces = text.split(",")
    if len(pieces) > _ADDRESSES_MAX:
        raise DatabaseUrlError(f"names more than {_ADDRESSES_MAX} hosts")
    # Twice the same is one.
    return tuple(dict.fromkeys(_address(piece, _which(index, len(pieces))) for index, piece in enumerate(pieces)))


def _which(index: int, count: int) -> str:
    return "its host" if count == 1 else f"host {index + 1} of {count}"


def _address(text: str, which: str) -> Address:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise DatabaseUrlError(f"cannot be read at {which}: an IPv6 address stands in brackets, as in [::1]:3306")
    host = found["name"] if found["ipv6"] is None else _ipv6(found["ipv6"], which)
    if found["ipv6"] is None and not _NAME.fullmatch(host):
        raise DatabaseUrlError(f"names no valid host name or address at {which}")
    port = found["port"]
    if found["colon"] is None:
        return Address(host)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        raise DatabaseUrlError(f"has a port at {which} that is not a number from 1 to 65535")
    return Address(host, int(port))


def _ipv6(text: str, which: str) -> str:
    try:
        return str(IPv6Address(text.replace("%25", "%")))
    except ValueError:
        raise DatabaseUrlError(f"has brackets without an IPv6 address at {which}") from None


def socket_address(path: str) -> Address:
    """The address of a socket file. One that does not exist yet is right as long as its folder does: servers make it.

    Raises:
        DatabaseUrlError: no server can ever be there.
    """
    if not path.startswith("/"):
        raise DatabaseUrlError("has a unix_socket that is not an absolute path")
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES_MAX:
        raise DatabaseUrlError(f"has a unix_socket of more than {_SOCKET_PATH_BYTES_MAX} bytes")
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        if not Path(path).parent.is_dir():
            raise DatabaseUrlError(f"has unix_socket={path}, and there is no such folder") from None
    except OSError as error:
        raise DatabaseUrlError(f"has unix_socket={path}, which cannot be used: {error.strerror}") from None
    else:
        if not stat.S_ISSOCK(mode):
            raise DatabaseUrlError(f"has unix_socket={path}, which is not a socket")
    return Address(socket=path)


class AddressOrder:
    """Several addresses of one database, and which of them is in use.

    Args:
        known: at least one, in the order of the URL.
    """

    def __init__(self, known: Sequence[Address]) -> None:
        self._known = tuple(known)
        self._first = self._known[0]
        self._used = self._known[0]

    def in_turn(self) -> tuple[Address, ...]:
        """Each once, the one to begin with first."""
        start = self._known.index(self._first)
        return self._known[start:] + self._known[:start]

    def pass_over(self, address: Address) -> None:
        """It has failed: whoever connects next begins with the one behind it."""
        if address == self._first:
            self._first = self._known[(self._known.index(address) + 1) % len(self._known)]

    def use(self, address: Address) -> Address | None:
        """It works: begin with it from now on. Answers the one that is left for it, if that was another."""
        left, self._first, self._used = self._used, address, address
        return None if left == address else left
