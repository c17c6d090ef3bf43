"""httpx over connections that only go to checked addresses, and the TLS rules of source APIs.

httpx offers no seam for choosing the address that a connection goes to; its transport does. This one hands requests to
an httpcore pool whose network backend is the guard's, so redirects, retries and token endpoints all pass it. Nothing of
the environment (proxies, certificates, netrc) is used, and no cookie is kept here. HTTP/2 is spoken where the server offers
it by ALPN. A failure leaves nothing behind; closing the client closes every connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final

import certifi
import httpcore
import httpx

from server.core.config import Settings
from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.sources.api import urls
from server.sources.api.http.address_guard import AddressGuard, GuardedBackend

# Beside those of pages that are asked for at once: a token, a probe.
_FURTHER_CONNECTIONS: Final = 3
_KEEPALIVE_SECONDS: Final = 30.0
# httpx would spell a URL in its own way, and fails on some that are right; the real one goes beside it.
_ANY_URL: Final = httpx.URL("http://source.invalid/")
# Most special first: the first one that fits is raised.
_FAULTS: Final[tuple[tuple[type[Exception], type[httpx.TransportError]], ...]] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.ProtocolError, httpx.RemoteProtocolError),
)


def open_client(settings: Settings) -> httpx.AsyncClient:
    """A client for source APIs; redirects are the caller's own affair.

    Raises:
        FatalError: SOURCE_FORBIDDEN, the file of authorities cannot be read.
    """
    seconds = settings.http_timeout_seconds
    return httpx.AsyncClient(
        transport=PinnedTransport(settings),
        timeout=httpx.Timeout(
            min(seconds, settings.http_read_timeout_seconds),
            connect=min(seconds, settings.http_connect_timeout_seconds),
        ),
        follow_redirects=False,
        trust_env=False,
        # Kept by cookies.py, apart from those of a token endpoint, which has the same client.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def request_to(method: str, url: str, headers: list[tuple[bytes, bytes]], content: bytes | None) -> httpx.Request:
    """A request with exactly these headers and this URL, spelled as it is."""
    return httpx.Request(method, _ANY_URL, headers=headers, content=content, extensions={"wire_url": urls.to_wire(url)})


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends requests over guarded connections."""

    def __init__(self, settings: Settings) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls_context(settings.http_ca_file, _written_at_ns(settings.http_ca_file)),
            max_connections=settings.http_pages_at_once_max + _FURTHER_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            http2=True,
            network_backend=GuardedBackend(AddressGuard.from_settings(settings)),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body of the response is still to be read.

        Raises:
            httpx.TransportError: the connection failed.
            FatalError: SOURCE_FORBIDDEN, the address may not be connected to; SOURCE_REFUSED, its certificate proves nothing.
        """
        wire = httpcore.Request(
            request.method,
            request.extensions["wire_url"],
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        try:
            response = await self._pool.handle_async_request(wire)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            _check_certificate(error, wire.url)
            raise _translated(error) from error
        # httpx builds the request of a redirect even where it is not to follow it, and fails on what is no URL: where a
        # redirect leads is told apart.
        return httpx.Response(
            response.status,
            headers=[pair for pair in response.headers if pair[0].lower() != b"location"],
            stream=_Body(response),
            extensions={
                "location": [pair for pair in response.headers if pair[0].lower() == b"location"],
                "http_version": response.extensions.get("http_version", b"HTTP/1.1"),
            },
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_stream():
                yield chunk
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


def _check_certificate(error: BaseException, url: httpcore.URL) -> None:
    """Say so where the server's certificate is at fault: asking again at once would not help."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise FatalError(
                Reason.SOURCE_REFUSED,
                f"the certificate of {url.host.decode('ascii', 'replace')} is not accepted: {cause.verify_message}. If it "
                "is by an authority of your own, put that into the file of TECHAURA_SYNC_HTTP_CA_FILE",
                category=Category.NETWORK,
                next_step="have the certificate renewed, or put its authority into the file of TECHAURA_SYNC_HTTP_CA_FILE",
            ) from error
        cause = cause.__cause__ or cause.__context__


def _translated(error: Exception) -> httpx.TransportError:
    return next(found for kind, found in _FAULTS if isinstance(error, kind))(str(error))


def _written_at_ns(ca_file: str) -> int:
    """When the file of authorities was last written; 0 where there is none to look at."""
    try:
        return Path(ca_file).stat().st_mtime_ns if ca_file else 0
    except OSError:
        return 0


@lru_cache(maxsize=2)
def _tls_context(ca_file: str, _version: int) -> ssl.SSLContext:
    """What hosts have to prove. Kept, because reading the authorities takes longer than fetching most pages.

    Args:
        _version: another one when the file has changed, which is then read again.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        try:
            context.load_verify_locations(cafile=str(Path(ca_file)))
        except OSError as error:
            raise FatalError(
                Reason.SOURCE_FORBIDDEN, "the file of TECHAURA_SYNC_HTTP_CA_FILE cannot be read"
            ) from error
    return context
