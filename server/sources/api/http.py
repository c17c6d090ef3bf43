"""The HTTP client of one run: bounded, patient within limits, and telling secrets to one origin only.

Each request has a limit on its whole time, on its phases and on its body. Passing faults (timeouts, broken
connections, 408, 425, 429, 5xx) are tried again with capped exponential backoff and full jitter; a Retry-After is
obeyed, and when it asks for more than the longest wait, the run is given back to the nightly retry rather than asking
again too early. Redirects are followed by hand, within the source's own origin. Nothing of the environment (proxies,
certificates, netrc) is used. A failure leaves nothing behind; `close` lets go of the connections.

It stands on httpcore, which is httpx without its models: those took more than half of the time of a page, and httpx
takes no network backend, which the guard needs. Texts show scheme, host and path: the query may hold secrets.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Final

import certifi
import httpcore

from server.core.errors import Fatal, Retryable
from server.sources.api import urls
from server.sources.api.auth import Credentials
from server.sources.api.backoff import Backoff, retry_after_seconds
from server.sources.api.body import ACCEPT_ENCODING, read_body
from server.sources.api.guard import AddressGuard, GuardedBackend
from server.sources.base import SourceContext

_REDIRECTS_MAX: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_RETRIED: Final = frozenset({408, 425, 429})
_CONNECT_SECONDS_MAX: Final = 10.0
_CONNECTIONS_MAX: Final = 4
_USER_AGENT: Final = "techaura-sync/0.1"


class PageMissing(Fatal):
    """The source answered 404 for this page. Some APIs say "past the last page" in this way."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What asks for a page.

    Args:
        content: JSON that is sent as the body; None for no body.
    """

    method: str
    url: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response.

    Args:
        status: 200 to 299.
        headers: names in lower case; values of a repeated one joined by commas.
        body: decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Type and subtype of the content, lower case; empty when it is not stated."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset that the content type states, or None."""
        header = Message()
        header["content-type"] = self.headers.get("content-type", "")
        return header.get_content_charset()


class ApiClient:
    """Fetches pages of one source.

    Args:
        url: the source; its origin is the only one that is ever asked.
        credentials: what every request carries, secrets included.

    Raises:
        Fatal: SOURCE_FORBIDDEN, the file of authorities cannot be read.
    """

    def __init__(self, url: str, credentials: Credentials, context: SourceContext) -> None:
        # The library logs headers, which may hold secrets.
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._settings = context.settings
        self._clock = context.clock
        self._moved = context.moved
        self._circuits = context.circuits
        self._origin = urls.origin(url)
        self._host = f"{self._origin[1]}:{self._origin[2]}"
        self._credentials = credentials
        own = {"Host": urls.host_header(url), "User-Agent": _USER_AGENT, "Accept": "application/json, */*;q=0.5"}
        last = {"Accept-Encoding": ACCEPT_ENCODING}
        self._headers = _encoded([own, credentials.headers, last])
        self._body_headers = _encoded([own, {"Content-Type": "application/json"}, credentials.headers, last])
        seconds = self._settings.http_timeout_seconds
        connect_seconds = min(seconds, _CONNECT_SECONDS_MAX)
        self._timeouts = {"connect": connect_seconds, "read": seconds, "write": seconds, "pool": seconds}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls_context(self._settings.http_ca_file) if self._origin[0] == "https" else None,
            max_connections=_CONNECTIONS_MAX,
            keepalive_expiry=30.0,
            network_backend=GuardedBackend(AddressGuard.from_settings(self._settings)),
        )

    async def fetch(self, request: PageRequest, label: str) -> Answer:
        """Fetch one page, however often it takes within the limits.

        Args:
            label: what is fetched, for error texts, such as `page 7`.

        Raises:
            Retryable: SOURCE_UNAVAILABLE, after the last try.
            Fatal: AUTHENTICATION_FAILED, SOURCE_REFUSED, SOURCE_MALFORMED, SOURCE_FORBIDDEN.
            PageMissing: the source answered 404.
        """
        backoff = Backoff(
            self._clock,
            attempts_max=self._settings.http_retry_attempts_max,
            wait_seconds_max=self._settings.http_retry_wait_seconds_max,
            elapsed_seconds_max=self._settings.http_retry_elapsed_seconds_max,
        )
        while True:
            try:
                async with self._circuits.passing(self._host, self._clock):
                    return await self._once(request, label)
            except Retryable as fault:
                await backoff.wait_or_raise(fault)

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._pool.aclose()

    async def _once(self, request: PageRequest, label: str) -> Answer:
        source = f"{label} of {urls.shown(request.url)}"
        try:
            async with asyncio.timeout(self._settings.http_timeout_seconds):
                return await self._follow(request, label)
        except (TimeoutError, httpcore.TimeoutException) as error:
            seconds = self._settings.http_timeout_seconds
            raise Retryable("SOURCE_UNAVAILABLE", f"{source} did not answer within {seconds:g} seconds") from error
        except httpcore.ProtocolError as error:
            raise Retryable("SOURCE_UNAVAILABLE", f"{source} broke off, or it does not speak HTTP") from error
        except httpcore.NetworkError as error:
            raise Retryable("SOURCE_UNAVAILABLE", f"{source}: the connection failed or was reset") from error

    async def _follow(self, request: PageRequest, label: str) -> Answer:
        method, url, content = request.method, request.url, request.content
        for _ in range(_REDIRECTS_MAX + 1):
            if urls.origin(url) != self._origin:
                raise _elsewhere(self._origin, url)
            extensions = {"timeout": self._timeouts}
            wire_url = urls.to_wire(urls.with_parameters(url, self._credentials.query))
            headers = self._headers if content is None else self._body_headers
            async with self._pool.stream(
                method, wire_url, headers=headers, content=content, extensions=extensions
            ) as response:
                answered = _decoded(response.headers)
                if response.status not in _REDIRECTS:
                    return await self._read(response, answered, f"{label} of {urls.shown(url)}")
                # 303 asks for GET, the others keep the method (RFC 9110, 15.4).
                if response.status == 303:
                    method, content = "GET", None
                url = urls.followed(url, answered.get("location", ""), self._credentials.query)
        raise Fatal("SOURCE_REFUSED", f"{urls.shown(url)} redirects more than {_REDIRECTS_MAX} times")

    async def _noted(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The chunks of a body, each a sign that the source is slow and not hung."""
        async for chunk in chunks:
            self._moved()
            yield chunk

    async def _read(self, response: httpcore.Response, headers: Mapping[str, str], source: str) -> Answer:
        status = response.status
        if status in _RETRIED or status >= 500:
            raise Retryable(
                "SOURCE_UNAVAILABLE",
                f"{source} answered {status}",
                retry_after_seconds=retry_after_seconds(headers, self._clock.now()),
            )
        if status in (401, 403):
            raise Fatal(
                "AUTHENTICATION_FAILED",
                f"{source} answered {status}: {self._credentials.hint}",
                category="authentication",
                next_step=self._credentials.hint,
            )
        if status == 404:
            raise PageMissing("SOURCE_REFUSED", f"{source} answered 404: there is nothing at this address")
        if not 200 <= status < 300:
            raise Fatal("SOURCE_REFUSED", f"{source} answered {status}; check the URL, the method and the parameters")
        body = await read_body(
            self._noted(response.aiter_stream()), headers, self._settings.http_page_bytes_max, source
        )
        return Answer(status, headers, body)


def _tls_context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        try:
            context.load_verify_locations(cafile=str(Path(ca_file)))
        except OSError as error:
            raise Fatal("SOURCE_FORBIDDEN", "the file of TECHAURA_SYNC_HTTP_CA_FILE cannot be read") from error
    return context


def _encoded(groups: list[Mapping[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as bytes; a later group wins over an earlier one, whatever the case of the names."""
    merged: dict[str, tuple[str, str]] = {}
    for group in groups:
        for name, value in group.items():
            merged[name.lower()] = (name, value)
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in merged.values()]


def _decoded(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    decoded: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        decoded[name] = f"{decoded[name]}, {value}" if name in decoded else value
    return decoded


def _elsewhere(origin: tuple[str, str, int], url: str) -> Fatal:
    return Fatal(
        "SOURCE_REFUSED",
        f"the source on {origin[1]} points to {urls.shown(url)}; only its own scheme, host and port are asked, "
        "because requests carry its secrets. Use the new address as the source if it is right",
    )
