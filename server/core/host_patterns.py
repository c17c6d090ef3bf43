"""Lists of hosts as the settings write them: `host`, `host:port`, `*.domain`, separated by commas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_OWN_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HostPatterns:
    """Some hosts.

    Args:
        patterns: in lower case, without a dot at the end.
    """

    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> HostPatterns:
        """Read a list; an empty text is one without a host."""
        parts = (part.strip().lower().rstrip(".") for part in text.split(","))
        return cls(tuple(part for part in parts if part))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.patterns)

    def match(self, host: str, port: int) -> bool:
        """Whether a host is one of them. `*.domain` stands for what is below the domain, not for itself."""
        host = host.lower().rstrip(".").strip("[]")
        for pattern in self.patterns:
            if pattern in (host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"):
                return True
            if pattern.startswith("*.") and host.endswith(pattern[1:]):
                return True
        return False


NO_HOSTS: Final = HostPatterns()


def host_and_port(url: str) -> tuple[str, int]:
    """Where a checked URL leads: the host in lower case, without brackets, and the port, 0 where nothing says which."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def comes_unchanged(url: str) -> bool:
    """Whether what is read from a URL cannot be changed on its way: it comes over https, or from this machine.

    Raises:
        ValueError: it is no URL.
    """
    host = urlsplit(url).hostname
    return (url.startswith("https://") and bool(host)) or (url.startswith("http://") and host in _OWN_HOSTS)


HOST_PATTERN: Final = re.compile(r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
