"""Which hosts and addresses the service may connect to, so that no caller can aim it at the inside of a network.

A host is resolved once per connection, every address of the response is checked, and the connection goes to a checked
address: a name that answers differently a moment later (rebinding) gains nothing. TLS still verifies the host's name.
Without settings, any host is allowed whose addresses are all public. `allowed_hosts` limits sources to the hosts on it;
`private_hosts` names hosts whose addresses need not be public, and `allow_private_addresses` lifts that rule for all. None of
them opens an address at which a cloud tells its machines their credentials, nor any other of the link (RFC 3927, RFC 4291).
Refused connections are never opened: no packet leaves.

Public means more than `is_global`, which is true for addresses that carry another one inside (NAT64, 6to4, Teredo,
IPv4-mapped and -compatible) and for multicast: the inner address is judged too. Algorithm: RFC 6890 with 6052, 3056, 4380.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpcore

from server.core.config import Settings
from server.core.errors import FatalError, InvalidRequestError
from server.core.host_patterns import NO_HOSTS, HostPatterns, host_and_port
from server.core.reasons import Category, Reason
from server.sources.api.http.name_lookup import addresses_of

Address = IPv4Address | IPv6Address
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_LET_IN: Final = "have the host let in by the setting that the text names, or give another URL"
_COMPATIBLE: Final = IPv6Network("::/96")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_DOCUMENTATION: Final = IPv6Network("3fff::/20")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
# Beside 169.254.169.254 (most clouds) and 169.254.170.2 (containers of AWS), which are of the link.
_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "fd00:42::42",  # Scaleway
    )
)


def is_public(address: Address) -> bool:
    """Whether an address, and each address inside it, is reachable on the public internet by one host."""
    if isinstance(address, IPv4Address):
        return address.is_global and not (address.is_multicast or address.is_reserved)
    if address.scope_id is not None or address in _NAT64_LOCAL:
        return False
    inner = _inner(address)
    if inner:
        return all(is_public(each) for each in inner)
    # Only 2000::/3 is given out for global unicast (RFC 4291, 2.4); 3fff::/20 in it is for documentation (RFC 9637).
    return address.is_global and address in _GLOBAL_UNICAST and address not in _DOCUMENTATION


def is_of_the_machine(address: Address) -> bool:
    """Whether an address, or one inside it, is of the link, or is where a cloud answers each of its own machines."""
    if isinstance(address, IPv6Address):
        # Without its zone, which no list has.
        bare = IPv6Address(int(address))
        local = (IPv4Address(int(address) & 0xFFFFFFFF),) if bare in _NAT64_LOCAL else ()
        judged: tuple[Address, ...] = (bare, *_inner(address), *local)
    else:
        judged = (address,)
    return any(each.is_link_local or each in _METADATA for each in judged)


def _inner(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses that an IPv6 address carries."""
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    if address in _NAT64 or address in _COMPATIBLE or address in _TRANSLATED:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return ()


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """The rule.

    Args:
        allow_private: whether every address is allowed.
        hosts: those that are allowed; without any, every host is.
        private_hosts: those of them whose addresses need not be public.
    """

    allow_private: bool = False
    hosts: HostPatterns = NO_HOSTS
    private_hosts: HostPatterns = NO_HOSTS

    @classmethod
    def from_settings(cls, settings: Settings) -> AddressGuard:
        """The rule that the settings state."""
        return cls(
            settings.allow_private_addresses,
            HostPatterns.parse(settings.allowed_hosts),
            HostPatterns.parse(settings.private_hosts),
        )

    def check_url(self, url: str, *, field: str = "sourceIdentifier") -> None:
        """Check what can be checked without the network: the list of hosts, and hosts that are addresses.

        Raises:
            InvalidRequestError: SOURCE_FORBIDDEN.
        """
        host, port = host_and_port(url)
        problem = self._host_problem(host, port)
        literal = _literal(host)
        if not problem and literal is not None:
            problem = self._address_problem(host, port, literal)
        if problem:
            raise InvalidRequestError(Reason.SOURCE_FORBIDDEN, problem, field=field, next_step=_LET_IN)

    def checked(self, host: str, port: int, addresses: Iterable[str]) -> list[Address]:
        """The addresses of a host, all of them allowed.

        Raises:
            FatalError: SOURCE_FORBIDDEN (validation), at least one is not allowed.
        """
        found = [ip_address(address) for address in addresses]
        problem = self._host_problem(host, port)
        for address in found:
            problem = problem or self._address_problem(host, port, address)
        if problem:
            raise FatalError(Reason.SOURCE_FORBIDDEN, problem, category=Category.VALIDATION, next_step=_LET_IN)
        return found

    def _host_problem(self, host: str, port: int) -> str:
        if not self.hosts or self.hosts.match(host, port):
            return ""
        return f"the host {host} is not on the list of allowed hosts (TECHAURA_SYNC_ALLOWED_HOSTS)"

    def _address_problem(self, host: str, port: int, address: Address) -> str:
        if is_of_the_machine(address):
            return (
                f"the host {host} has an address of the link, or one at which a cloud tells its machines their credentials; no "
                "setting allows it"
            )
        if self.allow_private or is_public(address) or self.private_hosts.match(host, port):
            return ""
        return (
            f"the host {host} has an address that is not public; to allow it put the host on TECHAURA_SYNC_PRIVATE_HOSTS, or "
            "set TECHAURA_SYNC_ALLOW_PRIVATE_ADDRESSES=true"
        )


def _literal(host: str) -> Address | None:
    """The address that a host spells out, in any of the forms that resolvers take (127.1, 0x7f000001, 2130706433)."""
    if host.lower().rstrip(".") == "localhost" or host.lower().rstrip(".").endswith(".localhost"):
        return ip_address("127.0.0.1")
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return ip_address(answers[0][4][0])
    except (OSError, ValueError):
        return None


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections for httpcore, to checked addresses only.

    Raises:
        FatalError: SOURCE_FORBIDDEN, from `connect_tcp`.
        httpcore.ConnectError: the name does not resolve, or no address answers.
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check all, connect to the first address that answers."""
        try:
            async with asyncio.timeout(timeout):
                texts = await addresses_of(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"resolving {host} took too long") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved") from error
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._guard.checked(host, port, texts):
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refused: no source is on a socket file."""
        raise FatalError(
            Reason.SOURCE_FORBIDDEN, "sources on socket files are not supported", category=Category.VALIDATION
        )

    async def sleep(self, seconds: float) -> None:
        """Wait between httpcore's own connection tries, which are switched off."""
        await self._inner.sleep(seconds)
