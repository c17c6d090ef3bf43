"""API keys: how one is made, read and kept.

A key is `tas_<key id>_<secret>`. The secret has 256 random bits, so that its SHA-256 is enough to know it by: nobody can guess
a text that has it. The prefix lets scanners of repositories find a key that was committed; the id is no secret.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import secrets
import socket
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.repositories import api_keys, audit
from db.repositories.api_keys import ApiKey
from db.repositories.audit import AuditEntry
from server.core.callers import Reach, Scope
from server.core.errors import InvalidRequestError
from server.core.host_patterns import HOST_PATTERN
from server.core.reasons import Reason

PREFIX: Final = "tas_"
KEY: Final = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_[0-9a-f]{{64}}")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
# A wildcard for a URL stands behind the slash that ends its host: `https://shop.co*` would also be `https://shop.co.evil.test`.
_OPEN_HOST: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:(/{0,2}[^/]*)?\*")


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key lets do.

    Args:
        name: of who gets it.
        scopes: at least one.
        lifetime_seconds: it expires after this; None for never.
    """

    name: str
    scopes: frozenset[Scope]
    reach: Reach
    lifetime_seconds: float | None


def digest_of(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def id_of(key: str) -> str | None:
    """The id in a key; None of a text that is none."""
    match = KEY.fullmatch(key)
    return match[1] if match else None


async def create(database: Database, new: NewKey, keys_max: int) -> str:
    """Make a key and store what is kept of it; return the key, which nobody can read again.

    Raises:
        InvalidRequestError: the name or a pattern is wrong, the name is in use, or there are as many keys as there may be.
        DatabaseError
    """
    _check(new)
    async with database.write() as connection:
        usable = await api_keys.usable_keys(connection, ring_size(keys_max))
        if any(key.name == new.name for key in usable):
            raise _wrong(f"a key with the name {new.name!r} is in use: rotate it, revoke it, or take another name")
        if len(usable) >= keys_max:
            raise _wrong(
                f"there are {keys_max} keys in use, the most there may be (TECHAURA_SYNC_API_KEYS_MAX): revoke some"
            )
        key = await _store(connection, new)
        await _record(connection, "CreateApiKey", new.name)
    return key


async def rotate(database: Database, name: str, overlap_seconds: float, keys_max: int) -> str:
    """Make another key with the scopes and the reach of the newest of this name; those before it expire after the overlap.

    The new one expires when the newest would have; never, if it would not. Return the new key. All of it happens or nothing.

    Raises:
        InvalidRequestError: nobody has a usable key of this name.
        DatabaseError
    """
    async with database.write() as connection:
        # Rotations of one name come one after the other: each holds the keys that it replaces.
        await api_keys.lock_name(connection, name)
        usable = await api_keys.usable_keys(connection, ring_size(keys_max))
        of_name = [key for key in usable if key.name == name]
        if not of_name:
            raise _wrong(
                f"there is no key in use with the name {name[:100]!r}: `techaura-syncd keys list` has the names"
            )
        if len(usable) >= ring_size(keys_max):
            raise _wrong(f"{len(usable)} keys are in use, those that run out included: revoke some")
        old, now_ms = of_name[-1], await api_keys.database_now_ms(connection)
        lifetime = None if old.expires_at_ms is None else max(0.0, (old.expires_at_ms - now_ms) / 1000)
        await api_keys.expire(connection, name, round(overlap_seconds * 1000))
        key = await _store(connection, NewKey(name, scopes_of(old.scopes), Reach.from_json(old.reach), lifetime))
        await _record(connection, "RotateApiKey", name)
    return key


async def revoke(database: Database, name_or_id: str) -> int:
    """Let nobody in any more by the keys of this name, or by the one of this id; return how many that were.

    Raises:
        DatabaseError
    """
    async with database.write() as connection:
        count = await api_keys.revoke(connection, name_or_id)
        if count:
            await _record(connection, "RevokeApiKey", name_or_id)
    return count


def ring_size(keys_max: int) -> int:
    """How many keys may be usable at once: each may be in the middle of a rotation."""
    return 2 * keys_max


async def _store(connection: AsyncConnection, new: NewKey) -> str:
    key_id = secrets.token_hex(_ID_BYTES)
    key = f"{PREFIX}{key_id}_{secrets.token_hex(_SECRET_BYTES)}"
    lifetime_ms = None if new.lifetime_seconds is None else round(new.lifetime_seconds * 1000)
    kept = ApiKey(key_id, new.name, digest_of(key), " ".join(sorted(new.scopes)), new.reach.as_json())
    await api_keys.insert_key(connection, kept, lifetime_ms=lifetime_ms)
    return key


async def _record(connection: AsyncConnection, method: str, name: str) -> None:
    """Who may change the database may make keys: the audit has the user of the operating system."""
    entry = AuditEntry(f"techaura-syncd:{getpass.getuser()}", method, socket.gethostname(), "", "done", detail=name)
    await audit.insert_entry(connection, entry)


def scopes_of(text: str) -> frozenset[Scope]:
    """The scopes in a stored text; names that this program does not know let do nothing."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[name] for name in text.split() if name in known)


def _check(new: NewKey) -> None:
    if not NAME.fullmatch(new.name):
        raise _wrong(
            "a name is 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or a digit"
        )
    if not new.scopes:
        raise _wrong(f"a key needs a scope: {', '.join(Scope)}")
    for pattern in new.reach.sources or ():
        if "*" in pattern[:-1] or _OPEN_HOST.fullmatch(pattern):
            raise _wrong(
                f"the source {pattern[:100]!r} is no pattern: a * stands at the end, and in a URL behind the host and a slash"
            )
    for host in new.reach.hosts.patterns if new.reach.hosts is not None else ():
        if not HOST_PATTERN.fullmatch(host):
            raise _wrong(
                f"{host[:100]!r} is no host: write host, host:port or *.domain, names as DNS knows them (xn--...)"
            )
    for root in new.reach.roots or ():
        if not root.is_absolute() or ".." in root.parts:
            raise _wrong(f"the root {str(root)[:100]!r} is not an absolute path without ..")
        if os.path.realpath(root) != str(root):
            raise _wrong(
                f"the root {str(root)[:100]!r} is, or lies behind, a link; name {os.path.realpath(root)[:200]!r}"
            )


def _wrong(text: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.INVALID_REQUEST, text)
