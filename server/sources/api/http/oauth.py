"""Access tokens by OAuth 2.0 (RFC 6749): client credentials, a user's password, and a refresh token with rotation.

A token is kept, sealed, for as long as it is good, so that a later run, attempt or replica of the same grant goes on
with it. A refresh token that the endpoint hands out in place of the old one is stored before the access token beside it
is used: a crash in between loses nothing that the endpoint still takes. Renewals of one endpoint go one at a time, and
when another replica was faster its token is taken over. Secrets of the grant go to the token endpoint and nowhere else,
and no text shows them, whatever the endpoint says.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import httpx

from server.core.errors import FatalError, RetryableError
from server.core.reasons import Category, Reason
from server.sources.api import urls
from server.sources.api.http.rate_limits import asked_wait
from server.sources.api.http.response_body import read_body
from server.sources.api.http.source_words import words_of
from server.sources.api.http.transport import request_to
from server.sources.api.options import header_value_is_sendable
from server.sources.contract import SourceContext
from server.sources.throttle.circuit import ComeBackLaterError

_ANSWER_BYTES_MAX: Final = 64 * 1024
# A token that ends while a request is under way is refused; so it counts as over a little earlier.
_MARGIN_SECONDS: Final = 30.0
_MARGIN_SHARE: Final = 0.1
_LIFETIME_SECONDS_MAX: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the form that the endpoint gets."""

    text: str = field(repr=False)
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class OAuthGrant:
    """What a token is asked for with.

    Args:
        refresh_token: empty for client credentials.
        user: name and password, for the grant of those; else None.
        params: further fields of the form.
        in_body: whether the client's id and secret go into the form rather than into Authorization: Basic.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    scope: str = ""
    in_body: bool = False
    user: tuple[str, str] | None = field(default=None, repr=False)
    params: Mapping[str, FormField] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no text may show."""
        fields = [each.text for each in self.params.values() if each.is_secret]
        return tuple(filter(None, (self.client_secret, self.refresh_token, *(self.user or ()), *fields)))

    @property
    def key(self) -> str:
        """What the grant's tokens are kept under."""
        parts: list[Any] = [self.token_url, self.client_id, self.client_secret, self.refresh_token, self.scope]
        if self.user or self.params:
            parts += [self.user, sorted((name, each.text) for name, each in self.params.items())]
        return "oauth " + json.dumps(parts)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the endpoint gave.

    Args:
        good_until: None when the endpoint did not say.
        refresh: the refresh token to use next; empty for client credentials.
    """

    access: str = field(repr=False)
    good_until: datetime | None = None
    refresh: str = field(default="", repr=False)

    def to_text(self) -> str:
        """For the memory of sources."""
        until = self.good_until.isoformat() if self.good_until else None
        return json.dumps({"access": self.access, "goodUntil": until, "refresh": self.refresh})

    @classmethod
    def from_text(cls, text: str) -> Tokens:
        """What `to_text` made."""
        found = json.loads(text)
        until = found["goodUntil"]
        return cls(found["access"], datetime.fromisoformat(until) if until else None, found["refresh"])


class TokenSource:
    """The access token of one run.

    Args:
        http: the run's client; closed by its owner.
    """

    def __init__(self, grant: OAuthGrant, http: httpx.AsyncClient, context: SourceContext) -> None:
        self._grant = grant
        self._http = http
        self._context = context
        self._tokens: Tokens | None = None
        # Whether the endpoint has handed the token out to this run.
        self.is_new = False
        _, host, port = urls.origin(grant.token_url)
        self._pace = context.paces.of(host, port)

    async def access_token(self, refused: str | None = None) -> str:
        """A token that is good by all that is known.

        Args:
            refused: one that the source has refused; another one is got.

        Raises:
            RetryableError: SOURCE_UNAVAILABLE, the endpoint does not respond.
            FatalError: AUTHENTICATION_FAILED, it refuses; SOURCE_MALFORMED, its response is none; SOURCE_FORBIDDEN.
        """
        if self._is_good(self._tokens, refused):
            return self._tokens.access  # type: ignore[union-attr] # a good one is not None
        async with self._pace.lock:
            known = await self._context.memory.get(self._grant.key)
            tokens = Tokens.from_text(known) if known else None
            self.is_new = not self._is_good(tokens, refused)
            if self.is_new:
                tokens = await self._renewed(tokens)
            self._tokens = tokens
            if tokens is not None:
                self._context.secret_seen(tokens.access)
        return self._tokens.access  # type: ignore[union-attr] # as above

    def _is_good(self, tokens: Tokens | None, refused: str | None) -> bool:
        if tokens is None or tokens.access == refused:
            return False
        return tokens.good_until is None or tokens.good_until > self._context.clock.now()

    async def _renewed(self, known: Tokens | None) -> Tokens:
        refresh = known.refresh if known and known.refresh else self._grant.refresh_token
        try:
            tokens = await self._ask(refresh)
        except _GrantRefusedError as refusal:
            # Another replica may have rotated the token since it was recalled.
            text = await self._context.memory.get(self._grant.key)
            newer = Tokens.from_text(text) if text else None
            if newer is None or newer.refresh in ("", refresh):
                raise refusal.error from None
            try:
                is_good = self._is_good(newer, known.access if known else None)
                tokens = newer if is_good else await self._ask(newer.refresh)
            except _GrantRefusedError as again:
                raise again.error from None
        # Shielded: a run that is cancelled now must not lose the only refresh token that still works.
        await asyncio.shield(self._context.memory.put(self._grant.key, tokens.to_text()))
        return tokens

    async def _ask(self, refresh: str) -> Tokens:
        place = f"the token endpoint {urls.redacted(self._grant.token_url)}"
        settings = self._context.settings
        await self._pace.wait_for_slot(
            self._context.clock, settings.http_host_requests_per_second_max, self._context.moved
        )
        request = self._request(refresh)
        try:
            # Other runs may wait for this token, and it is a small one: no time for slow bodies.
            seconds = settings.http_connect_timeout_seconds + settings.http_read_timeout_seconds
            async with asyncio.timeout(min(settings.http_timeout_seconds, seconds)):
                response = await self._http.send(request, stream=True)
                try:
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    body = await read_body(response.aiter_raw(), headers, _ANSWER_BYTES_MAX, place)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TransportError) as error:
            raise RetryableError(Reason.SOURCE_UNAVAILABLE, f"{place} did not answer, or broke off") from error
        return self._read(response.status_code, headers, body, refresh, place)

    def _request(self, refresh: str) -> httpx.Request:
        grant = self._grant
        form = {"grant_type": "refresh_token", "refresh_token": refresh} if refresh else {}
        if grant.user is not None:
            form = {"grant_type": "password", "username": grant.user[0], "password": grant.user[1]}
        form = form or {"grant_type": "client_credentials"}
        if grant.scope:
            form["scope"] = grant.scope
        headers = {
            "Host": urls.host_header(grant.token_url),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if grant.in_body or not grant.client_secret:
            form |= {"client_id": grant.client_id}
            form |= {"client_secret": grant.client_secret} if grant.client_secret else {}
        else:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            pair = f"{quote_plus(grant.client_id)}:{quote_plus(grant.client_secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        form |= {name: each.text for name, each in grant.params.items()}
        content = urlencode(form).encode("ascii")
        headers["Content-Length"] = str(len(content))
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        return request_to("POST", grant.token_url, raw, content)

    def _read(self, status: int, headers: Mapping[str, str], body: bytes, refresh: str, place: str) -> Tokens:
        answer = _object(body)
        code = str(answer.get("error", ""))
        # Of an answer with a token nothing is shown.
        words = "" if "access_token" in answer else words_of(body, {*self._grant.secrets, refresh} - {""}, headers)
        said = f": {words}" if words else ""
        wait = asked_wait(status, headers, words, self._context.clock.now())
        if wait is not None:
            raise ComeBackLaterError(
                Reason.SOURCE_UNAVAILABLE, f"{place} answered {status}{said}", retry_after_seconds=wait.seconds
            )
        if status >= 500:
            raise RetryableError(Reason.SOURCE_UNAVAILABLE, f"{place} answered {status}{said}")
        if status != 200 or code:
            error = FatalError(
                Reason.AUTHENTICATION_FAILED,
                f"{place} answered {status}{said}; check options.auth: tokenUrl, clientId, clientSecret, "
                "refreshToken and scope",
                category=Category.AUTHENTICATION,
                next_step="check options.auth (tokenUrl, clientId, clientSecret, refreshToken, scope), then sync again",
            )
            raise _GrantRefusedError(error) if refresh and code == "invalid_grant" else error
        access, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
        if not isinstance(access, str) or not access or not header_value_is_sendable(access):
            raise FatalError(
                Reason.SOURCE_MALFORMED, f"{place} answered no access_token that can be sent", category=Category.PARSING
            )
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise FatalError(
                Reason.SOURCE_MALFORMED, f"{place} answered a token that is no bearer token", category=Category.PARSING
            )
        given = answer.get("refresh_token")
        return Tokens(
            access,
            self._good_until(answer.get("expires_in")),
            given if refresh and isinstance(given, str) and given else refresh,
        )

    def _good_until(self, expires_in: object) -> datetime | None:
        try:
            seconds = float(expires_in)  # type: ignore[arg-type] # some endpoints write it as a text; what is neither, raises
        except (TypeError, ValueError):
            return None
        if not 0 < seconds <= _LIFETIME_SECONDS_MAX:
            return None
        return self._context.clock.now() + timedelta(seconds=seconds - min(_MARGIN_SECONDS, seconds * _MARGIN_SHARE))


class _GrantRefusedError(Exception):
    """The endpoint does not know the refresh token."""

    def __init__(self, error: FatalError) -> None:
        super().__init__(error.message)
        self.error = error


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
