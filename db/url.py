"""Parses the database URL and checks it part by part before anything is connected.

    mysql+aiomysql://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?PARAMETER=VALUE&PARAMETER=VALUE
    sqlite+aiosqlite:///RELATIVE/PATH or ////ABSOLUTE/PATH

An error's text shows names of parameters and paths given in them, and nothing that may be part of a password: where a
character of a password was not percent-encoded, the rest of it looks like a host, a port or a database.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from db.addresses import Address, addresses, socket_address
from db.errors import DatabaseUrlError
from db.tls import MODES, TlsSettings, tls_settings

SQLITE: Final = "sqlite+aiosqlite"
MYSQL: Final = "mysql+aiomysql"
_FORM: Final = f"{MYSQL}://USER:PASSWORD@HOST:PORT/DATABASE"
_PARAMETERS: Final = ("ssl", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket", "charset")
_DATABASE_CHARACTERS_MAX: Final = 64
# Drivers of other programs. What else stands before «://» is not shown.
_KNOWN_DRIVERS: Final = re.compile(r"(mysql|mariadb|sqlite|postgres|postgresql|oracle|mssql|mongodb)(\+[a-z0-9_]+)?")
_PARAMETER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
# What other drivers call it, without _ - and capitals.
_OTHER_NAMES: Final = {
    **dict.fromkeys(("sslmode", "usessl", "requiressl", "ssldisabled", "tls", "tlsmode", "securetransport"), MODES),
    **dict.fromkeys(("sslverifycert", "sslverifyservercert", "verifyservercertificate"), "ssl=verify-ca"),
    **dict.fromkeys(("sslverifyidentity", "sslcheckhostname"), "ssl=verify-identity"),
    **dict.fromkeys(("sslca", "sslrootcert", "sslcafile", "tlsca", "ca", "cafile", "sslcapath"), "ssl_ca=PATH"),
    **dict.fromkeys(("sslcert", "sslcertfile", "clientcert", "tlscert", "cert"), "ssl_cert=PATH"),
    **dict.fromkeys(("sslkey", "sslkeyfile", "clientkey", "tlskey", "key"), "ssl_key=PATH"),
    **dict.fromkeys(("socket", "unixsocket", "unixsocketpath", "sock"), "unix_socket=PATH"),
}


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A parsed database URL.

    Args:
        text: the URL as it was given.
        driver: SQLITE or MYSQL.
        database: the database's name; of an embedded one its path, or `:memory:`.
        user: empty for an embedded one.
        password: the bytes that the server compares; empty for none.
        addresses: where the server is, at least one; none for an embedded one.
        tls: None for plain text.
    """

    text: str = field(repr=False)
    driver: str
    database: str
    user: str = ""
    password: bytes = field(default=b"", repr=False)
    addresses: tuple[Address, ...] = ()
    tls: TlsSettings | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether it is an embedded database."""
        return self.driver == SQLITE


def parse_url(text: str) -> DatabaseUrl:
    """The database URL, checked.

    Raises:
        DatabaseUrlError: it is invalid; the text says which part, and follows the setting's name.
    """
    if not text.isprintable():
        raise DatabaseUrlError("holds a line break or another character that must be percent-encoded")
    driver, separator, rest = text.partition("://")
    if not separator or not driver:
        raise DatabaseUrlError(f"is no database URL, such as {_FORM}")
    if driver == SQLITE:
        return _embedded(text, rest)
    if driver == MYSQL:
        return _server(text, rest)
    shown = f"driver {driver!r}" if _KNOWN_DRIVERS.fullmatch(driver) else "another driver"
    raise DatabaseUrlError(f"has {shown}; this service uses {SQLITE} and {MYSQL}")


def _embedded(text: str, rest: str) -> DatabaseUrl:
    host, _, path = rest.partition("/")
    if host:
        raise DatabaseUrlError(f"needs three slashes before a relative path and four before an absolute one ({SQLITE})")
    path, _, query = path.partition("?")
    if query:
        raise DatabaseUrlError("has parameters; an SQLite URL takes none")
    return DatabaseUrl(text, SQLITE, _decoded(path, "a path") or ":memory:")


def _server(text: str, rest: str) -> DatabaseUrl:
    credentials, at, rest = rest.rpartition("@")
    if "#" in credentials + rest or any(character in credentials for character in "@/?"):
        raise DatabaseUrlError(
            "has a character that must be percent-encoded in the user name, the password or a parameter: "
            "@ is %40, / is %2F, ? is %3F, # is %23"
        )
    user, _, password = credentials.partition(":")
    if not at or not user:
        raise DatabaseUrlError(f"names no user; write {_FORM}")
    target, _, query = rest.partition("?")
    places, _, database = target.partition("/")
    parameters = _parameters(query) if database else {}
    known = addresses(places)
    if socket := parameters.get("unix_socket"):
        if len(known) > 1:
            raise DatabaseUrlError("has a unix_socket beside several hosts")
        if "ssl" in parameters:
            raise DatabaseUrlError("has ssl beside unix_socket: what goes through a socket does not leave the machine")
        known = (socket_address(socket),)
    return DatabaseUrl(
        text,
        MYSQL,
        _database(database),
        _decoded(user, "a user name"),
        _password(password),
        known,
        tls_settings(parameters),
    )


def _database(text: str) -> str:
    name = _decoded(text, "a database name")
    if not name:
        raise DatabaseUrlError(f"names no database; write {_FORM}")
    if "/" in text or len(name) > _DATABASE_CHARACTERS_MAX:
        raise DatabaseUrlError("has a database name that no server allows")
    return name


def _password(text: str) -> bytes:
    password = unquote_to_bytes(text)
    if b"\0" in password:
        raise DatabaseUrlError("has a password with a zero byte (%00)")
    return password


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for piece in filter(None, query.split("&")):
        name, equals, value = piece.partition("=")
        if not equals or not _PARAMETER_NAME.fullmatch(name):
            raise DatabaseUrlError("has something behind its «?» that is not NAME=VALUE, joined by «&»")
        if name not in _PARAMETERS:
            raise DatabaseUrlError(_unknown(name))
        if name in found:
            raise DatabaseUrlError(f"has the parameter {name} twice")
        found[name] = _decoded(value, f"a value of {name}")
        if not found[name]:
            raise DatabaseUrlError(f"has the parameter {name} without a value")
    if found.get("charset", "utf8mb4") != "utf8mb4":
        raise DatabaseUrlError("has a charset other than utf8mb4; leave it out")
    return found


def _unknown(name: str) -> str:
    plain = name.lower().replace("_", "").replace("-", "")
    meant = _OTHER_NAMES.get(plain) or next(iter(difflib.get_close_matches(name.lower(), _PARAMETERS, 1)), "")
    advice = f"here that is {meant}; " if meant else ""
    return f"has the unknown parameter {name!r}; {advice}known are {', '.join(_PARAMETERS)}"


def _decoded(text: str, what: str) -> str:
    try:
        value = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise DatabaseUrlError(f"has {what} that is not UTF-8 when decoded") from None
    if not value.isprintable():
        raise DatabaseUrlError(f"has {what} with a control character")
    return value
