"""Tokens of an OpenID provider: which are good, and what happens when the provider changes its keys or is away."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from server.access.oidc import TokenJudge
from server.core.callers import Scope
from server.core.errors import RetryableError
from tests.support.clock import FakeClock
from tests.support.identity_provider import AUDIENCE, Provider, identity_provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    with identity_provider() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.move(time.time() - clock.now().timestamp())
    return clock


@pytest.fixture
def judge(provider: Provider, clock: FakeClock) -> TokenJudge:
    return made(provider, clock)


def made(provider: Provider, clock: FakeClock, **changed: Any) -> TokenJudge:
    given: dict[str, Any] = {
        "issuer": provider.url,
        "audience": AUDIENCE,
        "jwks_url": "",
        "scope_prefix": "sync:",
        "keys_seconds_max": 3600.0,
    }
    return TokenJudge(clock, **(given | changed))


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, {Scope.READ}),
        ({"scope": "openid sync:trigger sync:operate sync:unknown"}, {Scope.TRIGGER, Scope.OPERATE}),
        ({"scope": None, "scp": ["sync:admin", "profile"]}, {Scope.ADMIN}),
        ({"scope": None, "scp": "sync:read"}, {Scope.READ}),
        ({"aud": ["other", AUDIENCE]}, {Scope.READ}),
        ({"scope": None}, set()),
        ({"scope": "read"}, set()),
        ({"scope": 7}, set()),
        ({"scope": ["sync:read", 7, None]}, {Scope.READ}),
    ],
)
async def test_a_good_token_has_the_scopes_of_its_words(
    provider: Provider, judge: TokenJudge, claims: dict[str, Any], scopes: set[Scope]
) -> None:
    caller = await judge.caller_of(provider.token(**claims))
    assert caller is not None
    assert (caller.name, set(caller.scopes)) == ("oidc:bot-7", scopes)


@pytest.mark.parametrize("alg", ["RS256", "PS384", "ES256"])
async def test_algorithms_with_public_keys(provider: Provider, judge: TokenJudge, alg: str) -> None:
    assert await judge.caller_of(provider.token("curve" if alg == "ES256" else "first", alg)) is not None


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
        {"aud": []},
        {"exp": 1},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 191},
        {"sub": "a\nb"},
        {"sub": 7},
    ],
)
async def test_claims_that_do_not_let_in(provider: Provider, judge: TokenJudge, claims: dict[str, Any]) -> None:
    assert await judge.caller_of(provider.token(**claims)) is None


def part(content: object) -> str:
    return encoded(json.dumps(content).encode())


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forged(provider: Provider) -> dict[str, str]:
    """Tokens that nobody with the provider's private keys has made."""
    good = provider.token()
    header, claims, signature = good.split(".")
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    content = json.loads(base64.urlsafe_b64decode(claims + "=="))
    public = provider.keys["first"].as_pem(private=False)
    # The public key taken for a shared secret.
    signed = f"{part({'alg': 'HS256', 'kid': 'first'})}.{claims}"
    confused = f"{signed}.{encoded(hmac.digest(public, signed.encode(), 'sha256'))}"
    return {
        "unsigned": f"{part({'alg': 'none'})}.{claims}.",
        "no algorithm": f"{part({'kid': 'first'})}.{claims}.{signature}",
        "signature of others": jwt.encode({"alg": "RS256", "kid": "first"}, content, stranger, algorithms=["RS256"]),
        "other claims": f"{header}.{part(content | {'scope': 'sync:admin'})}.{signature}",
        "other key": f"{part({'alg': 'RS256', 'kid': 'curve'})}.{claims}.{signature}",
        "unknown key": f"{part({'alg': 'RS256', 'kid': 'nobody'})}.{claims}.{signature}",
        "confused": confused,
        "key within": f"{part({'alg': 'RS256', 'jwk': stranger.as_dict(private=False)})}.{claims}.{signature}",
        "critical": f"{part({'alg': 'RS256', 'kid': 'first', 'crit': ['x'], 'x': 1})}.{claims}.{signature}",
        "critical of no list": f"{part({'alg': 'RS256', 'kid': 'first', 'crit': 5})}.{claims}.{signature}",
        "critical of lists": f"{part({'alg': 'RS256', 'kid': 'first', 'crit': [[]]})}.{claims}.{signature}",
        "critical of objects": f"{part({'alg': 'RS256', 'kid': 'first', 'crit': [{}]})}.{claims}.{signature}",
        "algorithm of no text": f"{part({'alg': 5, 'kid': 'first'})}.{claims}.{signature}",
        "key id of no text": f"{part({'alg': 'RS256', 'kid': {}})}.{claims}.{signature}",
        "cut": good[:-5],
        "no parts": "abc",
        "empty parts": "..",
        "no base64": "%.%.%",
        "no JSON": f"{part('x')}.{part([])}.{signature}",
        "long": good + "a" * 20_000,
        "five parts": f"{good}.{claims}.{signature}",
    }


FORGERIES = (
    "unsigned", "no algorithm", "signature of others", "other claims", "other key", "unknown key", "confused", "key within",
    "critical", "critical of no list", "critical of lists", "critical of objects", "algorithm of no text", "key id of no text", "cut", "no parts", "empty parts", "no base64", "no JSON", "long", "five parts",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("name", FORGERIES)
async def test_forged_tokens(provider: Provider, judge: TokenJudge, name: str) -> None:
    tokens = forged(provider)
    assert tuple(tokens) == FORGERIES
    assert await judge.caller_of(tokens[name]) is None


async def test_a_token_ends_with_its_time_and_a_minute_of_grace(
    provider: Provider, judge: TokenJudge, clock: FakeClock
) -> None:
    token = provider.token()
    clock.move(600 + 59)
    assert await judge.caller_of(token) is not None
    clock.move(3)
    assert await judge.caller_of(token) is None


async def test_new_keys_are_found_and_the_provider_is_not_asked_for_each_bad_token(
    provider: Provider, judge: TokenJudge, clock: FakeClock
) -> None:
    assert await judge.caller_of(provider.token()) is not None
    provider.keys["second"] = RSAKey.generate_key(2048, {"kid": "second"})
    asked = len(provider.asked)
    for _try in range(50):
        assert await judge.caller_of(provider.token("second")) is None
    assert len(provider.asked) == asked
    clock.move(61)
    assert await judge.caller_of(provider.token("second")) is not None
    # One that the provider has withdrawn goes out with the next look.
    del provider.keys["first"]
    clock.move(3601)
    assert await judge.caller_of(provider.token("second", exp=int(clock.now().timestamp()) + 60)) is not None
    assert len(provider.asked) == asked + 4


async def test_while_the_provider_is_away_its_known_keys_stay(
    provider: Provider, judge: TokenJudge, clock: FakeClock
) -> None:
    provider.is_away = True
    with pytest.raises(RetryableError, match="has not told its keys"):
        await judge.caller_of(provider.token())
    provider.is_away = False
    # It is asked again within a minute, and not only when known keys would be old.
    clock.move(61)
    assert await judge.caller_of(provider.token()) is not None
    clock.move(3601)
    soon = int(clock.now().timestamp()) + 36_000
    assert await judge.caller_of(provider.token(exp=soon)) is not None
    provider.is_away = True
    clock.move(3601)
    assert await judge.caller_of(provider.token(exp=soon)) is not None


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://other.example"},
        {"jwks_uri": "http://keys.example/"},
        {"jwks_uri": "file:///etc/keys"},
        {"jwks_uri": 7},
    ],
)
async def test_documents_that_are_not_believed(provider: Provider, clock: FakeClock, discovery: dict[str, Any]) -> None:
    provider.discovery = discovery
    with pytest.raises(RetryableError):
        await made(provider, clock).caller_of(provider.token())


async def test_keys_of_a_stated_address(provider: Provider, clock: FakeClock) -> None:
    judge = made(provider, clock, jwks_url=f"{provider.url}/keys")
    assert await judge.caller_of(provider.token()) is not None
    assert provider.asked == ["/keys"]
