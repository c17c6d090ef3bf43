"""One connection to MySQL or MariaDB: the driver's own, with what the driver lacks.

- Where TLS is asked for, not a byte of the user's name or password goes out before the connection is encrypted. aiomysql
  by itself goes on in plain text with a server that does not offer TLS, or with whoever has struck out that it does.
- A password as it is goes nowhere but through TLS or a socket, whatever the server asks for; nor does one that is encrypted with a
  key which came over the network in clear, unless that network is this machine.
- Nothing that is done before or after a statement waits forever: connecting, a ping, a rollback, the end.
- A host that has vanished without a word is noticed by the kernel's keep-alive, not by the limit of a transaction.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from aiomysql.connection import Connection
from pymysql.constants import CLIENT
from pymysql.err import OperationalError

from db.addresses import Address
from db.error_numbers import DatabaseReason
from db.errors import RefusedDatabaseError
from db.tls import MODES

SERVER_LOST: Final = 2013
# A server that takes longer undoes it all the same when the connection ends.
_ROLLBACK_SECONDS_MAX: Final = 5.0
_CLEAR_TEXT: Final = "mysql_clear_password"
# A connection whose peer is gone ends after about this: an idle one, and one that waits for a response.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 7_000))


class RefusedTlsError(RefusedDatabaseError):
    """TLS is not to be had with this address as it was asked for."""

    default_reason = DatabaseReason.DENIED


class CheckedConnection(Connection):  # type: ignore[misc] # aiomysql has no types
    """A connection of the driver that keeps to the rules above.

    Args:
        address: where it goes.
        timeout_seconds: connecting may take this long, and the response to a ping.
        arguments: the driver's own.
    """

    def __init__(self, address: Address, timeout_seconds: float, **arguments: Any) -> None:
        self.address = address
        place = {"unix_socket": address.socket} if address.socket else {"host": address.host, "port": address.port}
        super().__init__(**place, **arguments)
        self._timeout_seconds = timeout_seconds

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS has begun; also of a connection that has failed since."""
        return self._ssl_context is not None and bool(self._secure)

    @property
    def server_public_key(self) -> bytes | None:
        """What MySQL's password is encrypted with where there is no TLS; the driver asks the server for it."""
        return self._server_public_key

    @server_public_key.setter
    def server_public_key(self, key: bytes | None) -> None:
        # Whoever stands in between can send a key of his own, and so read the password.
        if key is not None and not self.address.is_on_this_machine:
            raise RefusedTlsError(
                f"{self.address} wants the password encrypted with a key that anybody on the way there may have put in its place; "
                f"add one of {MODES} to the URL"
            )
        self._server_public_key = key

    async def open(self) -> None:
        """Connect. The driver ends that with a COMMIT, which a Galera node that has lost its cluster refuses.

        Raises:
            RefusedTlsError, pymysql.err.Error, TimeoutError
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._connect()
        except BaseException:
            self.close()
            raise

    async def ping(self, reconnect: bool = False) -> None:
        """Ping the server.

        Raises:
            pymysql.err.Error: there is none.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await super().ping(reconnect=False)
        except TimeoutError:
            self.close()
            raise OperationalError(SERVER_LOST, "no answer to a ping") from None

    async def rollback(self) -> None:
        """Undo the transaction.

        Raises:
            pymysql.err.Error: the connection is gone, or is ended here: the server undoes it then all the same.
        """
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS_MAX):
                await super().rollback()
        except TimeoutError:
            self.close()
            raise OperationalError(SERVER_LOST, "no answer to a rollback") from None

    async def ensure_closed(self) -> None:
        """Say goodbye to the server and close, without waiting for an unresponsive one."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await super().ensure_closed()
        except TimeoutError:
            self.close()

    def close(self) -> None:
        """Close at once, whatever has not been sent yet."""
        self.break_off()
        super().close()

    def break_off(self) -> None:
        """End whatever is under way: whoever waits for a response is told that the connection is lost."""
        if self._writer is not None:
            self._writer.transport.abort()

    def _set_keep_alive(self) -> None:
        super()._set_keep_alive()
        found = self._writer.get_extra_info("socket")
        for name, value in _KEEP_ALIVE:
            # Not every system has each.
            if (option := getattr(socket, name, None)) is not None:
                found.setsockopt(socket.IPPROTO_TCP, option, value)

    async def _request_authentication(self) -> None:
        if self._ssl_context is not None and not self.server_capabilities & CLIENT.SSL:
            raise RefusedTlsError(f"{self.address} does not offer TLS, which the URL asks for")
        if self._server_auth_plugin == _CLEAR_TEXT and self._ssl_context is None:
            self._refuse_clear_password()
        await super()._request_authentication()
        if self._ssl_context is not None and self._writer.get_extra_info("ssl_object") is None:
            raise RefusedTlsError(f"the connection to {self.address} is not encrypted, which the URL asks for")

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        if plugin_name == _CLEAR_TEXT.encode():
            self._refuse_clear_password()
        return await super()._process_auth(plugin_name, auth_packet)

    async def caching_sha2_password_auth(self, auth_packet: Any) -> Any:
        """Log in to MySQL as it does by default: without TLS, with the password encrypted by the server's RSA key.

        Raises:
            RefusedTlsError, pymysql.err.Error
        """
        try:
            return await super().caching_sha2_password_auth(auth_packet)
        except ValueError:
            raise RefusedTlsError(
                f"the key of {self.address} cannot encrypt a password as long as the URL's; add one of {MODES} to the URL"
            ) from None

    def _refuse_clear_password(self) -> None:
        if not self._secure:
            raise RefusedTlsError(f"{self.address} asks for the password in plain text; add one of {MODES} to the URL")
