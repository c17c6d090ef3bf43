"""Who may send requests: a gateway on this machine can be reached from every web page that its user opens.

A page of another site can send requests here, to the gateway's own address or to a name of its own that resolves to it
(DNS rebinding). So the Host of a request must be one of ours, and a request that changes something must not come from a
page of another site. Callers that are not browsers send neither Origin nor Sec-Fetch-Site.

Where callers are asked who they are, a request without a credential ends here; the service judges those that have one.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config import GatewaySettings
from gateway.errors import RequestFaultError, request_refused

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:@/\[\]]+)(?::[0-9]{0,5})?")
_CHANGES_NOTHING: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_SETTING: Final = "TECHAURA_SYNC_GATEWAY_ALLOWED_HOSTS"
_HOST_NEXT_STEP: Final = f"ask for localhost or the host of TECHAURA_SYNC_HTTP_HOST, or add the name to {_SETTING}"
# What else there is says nothing of runs or sources: whether it serves, and the description of the API.
_SERVICE_PATHS: Final = "/v1/"
_KEY_NEXT_STEP: Final = (
    "send `Authorization: Bearer KEY`; whoever operates the service makes a key with `techaura-syncd keys create`"
)
_ORIGIN_NEXT_STEP: Final = (
    f"send it from a program or a page of the gateway's own host, or add the page's to {_SETTING}"
)


class AllowedHosts:
    """The hosts that requests may name.

    Args:
        http_host: where the gateway listens. With 0.0.0.0 or :: (every address of the machine) any IP address is accepted
            too: DNS rebinding needs a name.
        named: further hosts, comma-separated, with `*.domain` for all below a domain; `*` allows every host.
    """

    def __init__(self, http_host: str, named: str) -> None:
        given = {_plain(name) for name in named.split(",") if name.strip()}
        self._every = "*" in given
        self._named = {name for name in given if not name.startswith("*")}
        self._domains = tuple(name[1:] for name in given if name.startswith("*."))
        self._own = {*_LOCAL, _plain(http_host)}
        self._any_address = _is_address(http_host) and ip_address(http_host).is_unspecified

    def allows(self, authority: str) -> bool:
        """Whether a Host header may have this value; the port is ignored."""
        name = _name_of(authority)
        if name is None:
            return False
        return self._every or name in self._own or self.names(name) or (self._any_address and _is_address(name))

    def names(self, name: str) -> bool:
        """Whether the setting itself names a host."""
        return name in self._named or name.endswith(self._domains)


class CallerGuard:
    """Refuses requests that a web page of another site may have sent, or nobody in particular, before any route sees them."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._hosts = AllowedHosts(settings.http_host, settings.gateway_allowed_hosts)
        self._needs_key = settings.auth == "required"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or respond with the refusal."""
        if scope["type"] == "http":
            try:
                headers = Headers(scope=scope)
                self._check(headers, scope["method"])
                # Who has one is asked by the service; nothing is read of the body of a request that has none.
                if self._needs_key and scope["path"].startswith(_SERVICE_PATHS) and "authorization" not in headers:
                    raise RequestFaultError(
                        HTTPStatus.UNAUTHORIZED,
                        "the call carries no API key and no token",
                        reason="UNAUTHENTICATED",
                        next_step=_KEY_NEXT_STEP,
                    )
            except RequestFaultError as fault:
                refusal = await request_refused(Request(scope), fault)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, method: str) -> None:
        host = headers.get("host")
        # HTTP/1.0 has no Host header; no browser uses it.
        if host is not None and not self._hosts.allows(host):
            text = f"this gateway does not answer for the host {host[:100]!r}"
            raise RequestFaultError(HTTPStatus.MISDIRECTED_REQUEST, text, field="Host", next_step=_HOST_NEXT_STEP)
        if method not in _CHANGES_NOTHING and self._is_of_another_site(headers, host or ""):
            text = "a web page of another site may not send this request"
            raise RequestFaultError(HTTPStatus.FORBIDDEN, text, field="Origin", next_step=_ORIGIN_NEXT_STEP)

    def _is_of_another_site(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin")
        authority = origin.partition("://")[2].lower()
        if authority and authority == host.lower():
            return False
        name = _name_of(authority)
        return name is None or not self._hosts.names(name)


def _name_of(authority: str) -> str | None:
    """The host of `host` or `host:port`; None when it is neither."""
    match = _AUTHORITY.fullmatch(authority.strip().lower())
    return _plain(match["name"]) if match else None


def _plain(name: str) -> str:
    """A host in the one form in which hosts are compared."""
    name = name.strip().lower().removesuffix(".").removeprefix("[").removesuffix("]")
    return str(ip_address(name)) if _is_address(name) else name


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
