"""Tokens of an OpenID provider on the real program, beside API keys."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from techaura_sync import SyncClient

from server.core.callers import Scope
from tests.support.callers import ask, make_key
from tests.support.identity_provider import AUDIENCE, Provider, identity_provider
from tests.support.service import PROGRAM, Service, environment, service_running


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with identity_provider() as running:
        yield running


@pytest.fixture(scope="module")
def service(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program, which believes the provider."""
    folder = tmp_path_factory.mktemp("oidc")
    settings = {"AUTH": "required", "OIDC_ISSUER": provider.url, "OIDC_AUDIENCE": AUDIENCE}
    with service_running(folder, environment(f"sqlite+aiosqlite:///{folder / 's.db'}", folder, **settings)) as running:
        yield running


def test_a_token_lets_in_as_far_as_its_scopes_go(service: Service, provider: Provider) -> None:
    token = provider.token(scope="openid sync:read")
    assert ask(service, "GET", "/v1/sync/caller", token)[1]["data"]["name"] == "oidc:bot-7"
    assert ask(service, "GET", "/v1/sync/stats", token)[0] == 200
    assert ask(service, "POST", "/v1/sync/resume", token)[1]["reason"] == "PERMISSION_DENIED"
    with SyncClient(service.grpc_target, token=provider.token(scope="sync:operate")) as client:
        client.resume()
    for bad in (provider.token(exp=1), provider.token(aud="other"), token[:-3], "a.b.c"):
        status, body, _ = ask(service, "GET", "/v1/sync/stats", bad)
        assert (status, body["reason"]) == (401, "UNAUTHENTICATED")
    assert token.rpartition(".")[2] not in service.log()


def test_keys_let_in_too(service: Service) -> None:
    assert ask(service, "GET", "/v1/sync/stats", make_key(service, "bot", Scope.READ))[0] == 200


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"OIDC_ISSUER": "https://id.example", "AUTH": "required"}, "OIDC_AUDIENCE"),
        ({"OIDC_ISSUER": "https://id.example", "OIDC_AUDIENCE": "x"}, "AUTH=required"),
        (
            {"OIDC_ISSUER": "http://id.example", "OIDC_AUDIENCE": "x", "AUTH": "required"},
            "OIDC_ISSUER must be an https",
        ),
        ({"OIDC_JWKS_URL": "ftp://id.example"}, "OIDC_JWKS_URL must be an https"),
        ({"AUTH": "maybe"}, "TECHAURA_SYNC_AUTH"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 's.db'}", tmp_path, **settings)
    done = subprocess.run([PROGRAM, "serve"], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
