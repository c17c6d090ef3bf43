"""Bearer tokens of an OpenID provider: signed JWTs (RFC 7519, RFC 9068) whose keys the provider publishes (JWKS, RFC 7517).

A token is good when one of the provider's keys signed it, by an algorithm with a public key, for this issuer and this audience,
and its time has come and is not over. Its scopes are those words of the claim `scope` (or `scp`) that begin with the prefix of
the settings: `sync:read` is `read`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any, Final

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from server.core.callers import Caller, Scope
from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import RetryableError
from server.core.host_patterns import comes_unchanged
from server.core.reasons import Category, Reason

log = structlog.get_logger()

# No HS256: with a shared secret, whoever checks tokens could make them; and no `none`.
_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
_LEEWAY_SECONDS: Final = 60
_FETCH_SECONDS_MAX: Final = 5.0
_DOCUMENT_BYTES_MAX: Final = 256 * 1024
# A token with a key that is not known may be of a new one: the provider is asked again, so often at the most.
_ASK_AGAIN_SECONDS: Final = 60.0
_TOKEN_CHARS_MAX: Final = 16_384
_SUBJECT_CHARS_MAX: Final = 190


class TokenJudge:
    """Knows callers by tokens of one provider.

    Args:
        issuer: the provider's own name, a URL.
        audience: by which the provider knows this service.
        jwks_url: where its keys are; empty to find that out from the issuer.
        scope_prefix: with which words for this service begin.
        keys_seconds_max: the keys are asked for again after this.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        issuer: str,
        audience: str,
        jwks_url: str,
        scope_prefix: str,
        keys_seconds_max: float,
    ) -> None:
        self._clock = clock
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._scope_prefix = scope_prefix
        self._keys_seconds_max = keys_seconds_max
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._keys: KeySet | None = None
        self._asked_at = -math.inf
        self._asking = asyncio.Lock()

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> TokenJudge:
        """The judge of the provider that the settings name."""
        return cls(
            clock,
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            jwks_url=settings.oidc_jwks_url,
            scope_prefix=settings.oidc_scope_prefix,
            keys_seconds_max=settings.oidc_keys_seconds_max,
        )

    async def caller_of(self, token: str) -> Caller | None:
        """Whose token this is; None of one that is not good.

        Raises:
            RetryableError: the provider's keys have never been had.
        """
        if len(token) > _TOKEN_CHARS_MAX or token.count(".") != 2:
            return None
        await self._refresh(_ASK_AGAIN_SECONDS if self._keys is None else self._keys_seconds_max)
        claims = self._verified(token)
        if claims is None:
            await self._refresh(_ASK_AGAIN_SECONDS)
            claims = self._verified(token)
        return None if claims is None else self._caller(claims)

    def _verified(self, token: str) -> Mapping[str, Any] | None:
        if self._keys is None:
            text = "the OpenID provider has not told its keys yet; see the service's log"
            raise RetryableError(Reason.SERVICE_UNAVAILABLE, text, category=Category.SYSTEM)
        try:
            found = jwt.decode(token, self._keys, algorithms=list(_ALGORITHMS))
            self._claims.validate(found.claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # The header and the claims are whatever the sender wrote, and joserfc takes some of it for what it should be.
            return None
        return found.claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller | None:
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= _SUBJECT_CHARS_MAX:
            return None
        given = claims.get("scope", claims.get("scp", ""))
        words = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
        known = {f"{self._scope_prefix}{scope}": scope for scope in Scope}
        return Caller(
            f"oidc:{subject}", frozenset(known[word] for word in words if isinstance(word, str) and word in known)
        )

    async def _refresh(self, age_seconds_max: float) -> None:
        """Ask for the keys, if they are older; those that are known stay when that fails."""
        if self._clock.monotonic_seconds() - self._asked_at <= age_seconds_max:
            return
        async with self._asking:
            if self._clock.monotonic_seconds() - self._asked_at <= age_seconds_max:
                return
            try:
                self._keys = await self._fetched()
            except (
                TimeoutError,
                httpx.HTTPError,
                httpx.InvalidURL,
                ValueError,
                KeyError,
                TypeError,
                JoseError,
            ) as error:
                log.warning("oidc_keys_unavailable", action="auth", issuer=self._issuer, error=type(error).__name__)
            self._asked_at = self._clock.monotonic_seconds()

    async def _fetched(self) -> KeySet:
        async with (
            asyncio.timeout(_FETCH_SECONDS_MAX),
            httpx.AsyncClient(timeout=_FETCH_SECONDS_MAX, follow_redirects=False, trust_env=False) as client,
        ):
            url = self._jwks_url
            if not url:
                found = await _document(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                # OpenID Connect Discovery, section 4.3: a document of another issuer is none of this one's.
                if found["issuer"] != self._issuer:
                    raise ValueError("the document is another issuer's")
                url = found["jwks_uri"]
            return KeySet.import_key_set({"keys": (await _document(client, url))["keys"]})


async def _document(client: httpx.AsyncClient, url: object) -> Any:
    """A JSON document.

    Raises:
        httpx.HTTPError, ValueError
    """
    if not isinstance(url, str) or not comes_unchanged(url):
        raise ValueError("keys come over https only")
    content = b""
    async with client.stream("GET", url) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _DOCUMENT_BYTES_MAX:
                raise ValueError("the document is too large")
    return json.loads(content)
