"""Opens connections to MySQL and MariaDB: TLS as it was asked for, through whichever address of the URL answers.

- Where TLS is asked for, not a byte of the user's name or password goes out before the connection is encrypted. aiomysql
  by itself goes on in plain text with a server that does not offer TLS, or with whoever has struck out that it does.
- A password as it is goes nowhere but through TLS or a socket, whatever the server asks for.
- Connecting, from the look-up of the name to the last setting of the session, has one limit per address. An address
  that cannot be used now is passed over for the next one; the log says once which one was left for which.
- A host that has vanished without a word is noticed by the kernel's keep-alive, not by the limit of a transaction.

What is wrong with the data of a statement is no business of this module: `db/errors.py` has the words for that.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiomysql.connection import Connection
from pymysql.constants import CLIENT
from pymysql.err import Error, OperationalError

from db.addresses import Address, AddressOrder
from db.errors import DatabaseError, RefusedDatabaseError, TransientDatabaseError
from db.tls import MODES
from db.url import DatabaseUrl

log = structlog.get_logger()

NOT_READY: Final = 1047
_TOO_MANY: Final = frozenset({1040, 1203, 1226})
_COMES_OR_GOES: Final = frozenset({1053, 1077, 1079, 1927, 4031})
_DENIED: Final = 1045
_TLS_WANTED: Final = 3159
_SERVER_LOST: Final = 2013
_ROLLBACK_SECONDS_MAX: Final = 5.0
_CLEAR_TEXT: Final = "mysql_clear_password"
# A connection whose peer is gone ends after about this: an idle one, and one that waits for an answer.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 7_000))
# What the driver raises over bytes that are no MySQL.
_GIBBERISH: Final = (struct.error, LookupError, AssertionError, ValueError)
_ADVICE: Final = {
    **dict.fromkeys((7, 18, 19, 20, 21), "; name its authority with ssl_ca"),
    **dict.fromkeys(
        (62, 64), "; connect by a name that the certificate has, or leave the name unverified by ssl=verify-ca"
    ),
}


_CERT_DOUBT: Final = "; the server may not accept ssl_cert"


class RefusedTlsError(RefusedDatabaseError):
    """TLS is not to be had with this address as it was asked for."""

    default_reason = "DATABASE_DENIED"


class CheckedConnection(Connection):  # type: ignore[misc] # aiomysql has no types
    """A connection of the driver that keeps to the rules above.

    Args:
        address: where it goes.
        timeout_seconds: connecting may take this long, and the answer to a ping.
        arguments: the driver's own.
    """

    def __init__(self, address: Address, timeout_seconds: float, **arguments: Any) -> None:
        place = {"unix_socket": address.socket} if address.socket else {"host": address.host, "port": address.port}
        super().__init__(**place, **arguments)
        self.address = address
        self._timeout_seconds = timeout_seconds

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS has begun; also of a connection that has failed since."""
        return self._ssl_context is not None and bool(self._secure)

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
        """Ask for a sign of life.

        Raises:
            pymysql.err.Error: there is none.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await super().ping(reconnect=False)
        except TimeoutError:
            self.close()
            raise OperationalError(_SERVER_LOST, "no answer to a ping") from None

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
            raise OperationalError(_SERVER_LOST, "no answer to a rollback") from None

    async def ensure_closed(self) -> None:
        """Take leave of the server and close. Who does not listen is not waited for."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await super().ensure_closed()
        except TimeoutError:
            self.close()

    def close(self) -> None:
        """Close at once, whatever has not been sent yet."""
        if self._writer is not None:
            self._writer.transport.abort()
        super().close()

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

    def _refuse_clear_password(self) -> None:
        if not self._secure:
            raise RefusedTlsError(f"{self.address} asks for the password in plain text; add one of {MODES} to the URL")


class Connector:
    """Makes the connections of one database.

    Args:
        url: of a server.
        session_sql: run on each new connection.
        timeout_seconds: for connecting to one address.

    Raises:
        DatabaseUrlError: the files for TLS cannot be used.
    """

    def __init__(self, url: DatabaseUrl, session_sql: str, timeout_seconds: float) -> None:
        self._tls = url.tls
        self._order = AddressOrder(url.addresses)
        self._timeout_seconds = timeout_seconds
        self._arguments = {
            "user": url.user,
            # The driver encodes it so: what arrives are these very bytes.
            "password": url.password.decode("latin-1"),
            "db": url.database,
            "charset": "utf8mb4",
            # As SQLAlchemy's own connections have it: it counts the rows that a statement found, not those it changed.
            "client_flag": CLIENT.FOUND_ROWS,
            "init_command": session_sql,
            "local_infile": True,
            "ssl": url.tls and url.tls.context(),
        }

    async def connect(self) -> CheckedConnection:
        """A new connection, to the first address that can be used.

        Raises:
            DatabaseError: none can be.
            pymysql.err.Error: a server has said no, in its own words.
        """
        faults: list[DatabaseError] = []
        for address in self._order.in_turn():
            try:
                connection = await self._connected(address)
            except (TransientDatabaseError, RefusedTlsError) as fault:
                self._order.pass_over(address)
                faults.append(fault)
            else:
                if (left := self._order.use(address)) is not None:
                    log.warning("database_host_changed", action="connect", left=str(left), now=str(address))
                return connection
        raise _summed_up(faults)

    def leave(self, connection: CheckedConnection) -> None:
        """A connection's server is not to be used now: connect to another one next."""
        self._order.pass_over(connection.address)

    async def _connected(self, address: Address) -> CheckedConnection:
        connection = CheckedConnection(address, self._timeout_seconds, **self._arguments)
        try:
            await connection.open()
        except TimeoutError:
            raise _unreachable(address, f"no answer within {self._timeout_seconds:g} s") from None
        except Error as error:
            if (fault := self._fault(connection, error)) is not None:
                raise fault from None
            raise
        except _GIBBERISH:
            raise RefusedDatabaseError(f"{address} does not answer as MySQL or MariaDB does") from None
        return connection

    def _fault(self, connection: CheckedConnection, error: Error) -> DatabaseError | None:
        """What a driver's error means while connecting; None where its own words will do."""
        address = connection.address
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        said = str(error.args[1]) if len(error.args) > 1 else ""
        cause = error.__cause__
        if isinstance(cause, ssl.SSLError) and (refusal := _tls_refusal(address, cause)) is not None:
            return refusal
        if code in (2002, 2003, 2006, _SERVER_LOST):
            # TLS 1.3 lets the client finish before the server has looked at its certificate, and a reset may overtake the
            # server's reason.
            is_doubtful = connection.is_encrypted and self._tls is not None and self._tls.cert
            return _unreachable(address, _why(cause) + (_CERT_DOUBT if is_doubtful else ""))
        if code in _TOO_MANY:
            return TransientDatabaseError(f"too many connections to {address} (error {code})", code)
        if code in _COMES_OR_GOES:
            return TransientDatabaseError(f"{address} is starting or stopping (error {code})", code)
        if code == NOT_READY:
            return TransientDatabaseError(f"the Galera node {address} is not ready", code)
        if code == _TLS_WANTED:
            return RefusedTlsError(f"{address} wants TLS: add one of {MODES} to the URL", code)
        if code == _DENIED:
            return RefusedDatabaseError(
                f"{address} refused the user: {said}{self._tls_advice()}", code, "DATABASE_DENIED"
            )
        if code <= 0:
            return RefusedDatabaseError(f"{address} does not answer as MySQL or MariaDB does")
        return None

    def _tls_advice(self) -> str:
        """What else may be behind «access denied»: servers do not tell."""
        if self._tls is None:
            return f". Where this user must use TLS, add one of {MODES} to the URL"
        return (
            "" if self._tls.cert else ". Where this user must show a certificate, add ssl_cert and ssl_key to the URL"
        )


def _summed_up(faults: Sequence[DatabaseError]) -> DatabaseError:
    refusals = [fault for fault in faults if isinstance(fault, RefusedTlsError)]
    if refusals or len(faults) == 1:
        # What trying again cannot help comes first.
        return (refusals or faults)[0]
    return TransientDatabaseError("; ".join(fault.message for fault in faults), faults[-1].code)


def _unreachable(address: Address, why: str) -> TransientDatabaseError:
    return TransientDatabaseError(f"cannot connect to {address} ({why})", 2003)


def _why(cause: BaseException | None) -> str:
    if isinstance(cause, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    # Several addresses of one name, each with a reason of its own, or an end in the middle of the greeting.
    return "no connection" if isinstance(cause, OSError) else "the connection was closed"


def _tls_refusal(address: Address, error: ssl.SSLError) -> RefusedTlsError | None:
    """The refusal that a fault of TLS is; None where the connection just ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        return RefusedTlsError(f"the certificate of {address} is refused: {said}{_ADVICE.get(error.verify_code, '')}")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return None
    said = (error.reason or type(error).__name__).replace("_", " ").lower()
    return RefusedTlsError(f"TLS with {address} failed: {said}{_CERT_DOUBT if 'alert' in said else ''}")
