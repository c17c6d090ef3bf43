"""Who makes a call, what they may do, and what the call is known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final

from server.core.host_patterns import HostPatterns, host_and_port


class Scope(StrEnum):
    """A kind of call. Which RPC is of which kind: service/method_scopes.py."""

    READ = "read"
    TRIGGER = "trigger"
    OPERATE = "operate"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Reach:
    """The sources that a caller is narrowed to, for all that it does; None of a part: not narrowed by it.

    Args:
        sources: identifiers as callers write them; one that ends in `*` stands for all that begin so.
        roots: folders. With `roots` or `hosts`, files in no such folder and APIs at no such host are out of reach.
        hosts: those of APIs and of their token endpoints.
        secrets: names of variables and secret files that options may refer to.
    """

    sources: tuple[str, ...] | None = None
    roots: tuple[PurePosixPath, ...] | None = None
    hosts: HostPatterns | None = None
    secrets: frozenset[str] | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether any source is out of reach. Secrets alone narrow what may be started, not what may be seen."""
        return self.sources is not None or self.roots is not None or self.hosts is not None

    def has(self, identifier: str, places: Sequence[str]) -> bool:
        """Whether a source is within reach.

        Args:
            identifier: as the caller writes it.
            places: all that it may come to mean: a URL, or real paths of files, where there is none yet too.
        """
        if self.sources is not None:
            if not any(_matches(pattern, identifier) for pattern in self.sources):
                return False
            # A link with a name within reach may lead anywhere.
            if not all("://" in place or _ends_with(place, identifier) for place in places):
                return False
        return all(self.has_place(place) for place in places)

    def has_place(self, place: str) -> bool:
        """Whether a URL is at a host, or a path in a folder, that is within reach."""
        if self.roots is None and self.hosts is None:
            return True
        if "://" in place:
            return self.hosts is not None and self.hosts.match(*host_and_port(place))
        path = PurePosixPath(place)
        return any(path.is_relative_to(root) for root in self.roots or ())

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Reach:
        """Read what `as_json` made; None is everything."""
        parts = document or {}
        roots, hosts, secrets, sources = (parts.get(name) for name in ("roots", "hosts", "secrets", "sources"))
        return cls(
            sources=None if sources is None else tuple(sources),
            roots=None if roots is None else tuple(map(PurePosixPath, roots)),
            hosts=None if hosts is None else HostPatterns.parse(",".join(hosts)),
            secrets=None if secrets is None else frozenset(secrets),
        )

    def as_json(self) -> dict[str, list[str]] | None:
        """The parts that narrow; None where none does."""
        parts = {
            "sources": self.sources,
            "roots": None if self.roots is None else tuple(map(str, self.roots)),
            "hosts": None if self.hosts is None else self.hosts.patterns,
            "secrets": None if self.secrets is None else tuple(sorted(self.secrets)),
        }
        return {name: list(part) for name, part in parts.items() if part is not None} or None


EVERYTHING: Final = Reach()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        name: by which the audit knows them: of the key, or `oidc:` and the subject of the token.
        scopes: what they may do; `admin` is all of it.
        reach: with which sources.
    """

    name: str
    scopes: frozenset[Scope]
    reach: Reach = EVERYTHING

    def may(self, scope: Scope) -> bool:
        """Whether they may make calls of a kind."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


# Where nobody is asked who they are.
ANYONE: Final = Caller("anyone", frozenset(Scope))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one RPC.

    Args:
        method: the RPC's name.
        caller: who makes it.
        peer: from which address.
        request_id: under which logs have it.
        idempotency_key: by which the call is known when it is sent again; empty without one.
        fingerprint: of its content, where it has such a key.
    """

    method: str
    caller: Caller = ANYONE
    peer: str = ""
    request_id: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""


def _ends_with(path: str, identifier: str) -> bool:
    parts = PurePosixPath(identifier).parts
    return PurePosixPath(path).parts[-len(parts) :] == parts


def _matches(pattern: str, identifier: str) -> bool:
    if not pattern.endswith("*"):
        return identifier == pattern
    # `orders/*` must not let in `orders/../payroll.csv`, however the dots are written.
    dotted = (
        identifier.replace("\\", "/").replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/")
    )
    return identifier.startswith(pattern[:-1]) and not any(part in (".", "..") for part in dotted.split("/"))
