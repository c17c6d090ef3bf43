"""API keys for tests, made as `techaura-syncd keys create` makes them; and requests with one."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any

from db.engine import Database
from server.access.api_keys import NewKey, create
from server.access.api_keys import revoke as revoke_keys
from server.core.callers import EVERYTHING, Reach, Scope
from tests.support.service import Service


def make_key(
    service: Service, name: str, *scopes: Scope, reach: Reach = EVERYTHING, lifetime_seconds: float | None = None
) -> str:
    """A key for a running service."""

    async def made() -> str:
        database = Database(service.environ["TECHAURA_SYNC_DATABASE_URL"])
        try:
            return await create(database, NewKey(name, frozenset(scopes), reach, lifetime_seconds), 1000)
        finally:
            await database.close()

    return asyncio.run(made())


def revoke(service: Service, name: str) -> None:
    """Let nobody in any more by the keys of a name."""

    async def done() -> None:
        database = Database(service.environ["TECHAURA_SYNC_DATABASE_URL"])
        try:
            assert await revoke_keys(database, name)
        finally:
            await database.close()

    asyncio.run(done())


def ask(
    service: Service,
    method: str,
    path: str,
    key: str = "",
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any, Message[str, str]]:
    """One request over REST; answer status, JSON and headers."""
    made = urllib.request.Request(f"{service.http_url}{path}", method=method, headers=dict(headers or {}))
    if key:
        made.add_header("Authorization", f"Bearer {key}")
    if body is not None:
        made.data = json.dumps(body).encode()
        made.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(made, timeout=30) as answer:
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None, answer.headers
    except urllib.error.HTTPError as error:
        raw = error.read()
        return error.code, json.loads(raw) if raw else None, error.headers
