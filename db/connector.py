"""Makes connections to MySQL and MariaDB through the first address of the URL that responds, or reports why none does.

Connecting, from the look-up of the name to the last setting of the session, has one limit per address. An address that
cannot be used now is passed over for the next one, and the log says once which one was left for which. What is wrong with
a statement is no business of this module: `db/errors.py` has the words for that.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import weakref
from collections.abc import Sequence
from typing import Final

import structlog
from pymysql.constants import CLIENT
from pymysql.err import Error

from db.addresses import Address, AddressOrder
from db.checked_connection import SERVER_LOST, CheckedConnection, RefusedTlsError
from db.error_numbers import DatabaseReason
from db.errors import DatabaseError, RefusedDatabaseError, TransientDatabaseError
from db.tls import MODES
from db.url import DatabaseUrl

log = structlog.get_logger()

NOT_READY: Final = 1047
_TOO_MANY: Final = frozenset({1040, 1203, 1226})
_COMES_OR_GOES: Final = frozenset({1053, 1077, 1079, 1927, 4031})
_DENIED: Final = 1045
_TLS_WANTED: Final = 3159
_UNREACHABLE: Final = 2003
# What the driver raises over bytes that are no MySQL.
_GIBBERISH: Final = (struct.error, LookupError, AssertionError, ValueError)
_ADVICE: Final = {
    **dict.fromkeys((7, 18, 19, 20, 21), "; name its authority with ssl_ca"),
    **dict.fromkeys(
        (62, 64), "; connect by a name that the certificate has, or leave the name unverified by ssl=verify-ca"
    ),
}
_CERT_DOUBT: Final = "; the server may not accept ssl_cert"


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
        self._live: weakref.WeakSet[CheckedConnection] = weakref.WeakSet()
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
            pymysql.err.Error: a server refused, with its own text.
        """
        faults: dict[Address, DatabaseError] = {}
        for address in self._order.in_turn():
            try:
                connection = await self._connected(address)
            except (TransientDatabaseError, RefusedTlsError) as fault:
                self._order.pass_over(address)
                faults[address] = fault
            else:
                if (left := self._order.use(address)) is not None:
                    log.warning("database_host_changed", action="connect", left=str(left), now=str(address))
                    if left in faults and faults[left].code == _UNREACHABLE:
                        self._break_off(left)
                self._live.add(connection)
                return connection
        raise _summed_up(list(faults.values()))

    def _break_off(self, address: Address) -> None:
        """End what is under way with a host that answers nobody: it would be waited for until the transaction's limit."""
        for connection in [each for each in self._live if each.address == address]:
            connection.break_off()

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
        """What a driver's error means while connecting; None when its own text is good enough."""
        address = connection.address
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        said = str(error.args[1]) if len(error.args) > 1 else ""
        cause = error.__cause__
        if isinstance(cause, ssl.SSLError) and (refusal := _tls_refusal(address, cause)) is not None:
            return refusal
        if code in (2002, _UNREACHABLE, 2006, SERVER_LOST):
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
                f"{address} refused the user: {said}{self._tls_advice()}", code, DatabaseReason.DENIED
            )
        if code <= 0:
            return RefusedDatabaseError(f"{address} does not answer as MySQL or MariaDB does")
        return None

    def _tls_advice(self) -> str:
        """Other possible causes of «access denied», which servers do not tell apart."""
        if self._tls is None:
            return f". Where this user must use TLS, add one of {MODES} to the URL"
        return (
            "" if self._tls.cert else ". Where this user must show a certificate, add ssl_cert and ssl_key to the URL"
        )


def _summed_up(faults: Sequence[DatabaseError]) -> DatabaseError:
    refusals = [fault for fault in faults if isinstance(fault, RefusedTlsError)]
    if refusals or len(faults) == 1:
        # Faults that a retry cannot fix come first.
        return (refusals or faults)[0]
    return TransientDatabaseError("; ".join(fault.message for fault in faults), faults[-1].code)


def _unreachable(address: Address, why: str) -> TransientDatabaseError:
    return TransientDatabaseError(f"cannot connect to {address} ({why})", _UNREACHABLE)


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
