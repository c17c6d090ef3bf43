"""Fixtures that every test may use: databases of both kinds, and the real program running on each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import is_hypothesis_test
from hypothesis import settings as hypothesis_settings

from db.engine import Database
from db.migrate import migrate
from tests.support.database_server import CHOSEN, DatabaseServer, server_running
from tests.support.service import Service, environment, service_running

# What a test that takes a database of any kind runs on. `scripts/test mysql` runs just what touches a server, on MySQL.
DATABASES = ("sqlite", CHOSEN) if CHOSEN == "mariadb" else (CHOSEN,)
# Fixtures that are a server.
SERVERS = frozenset({"database_server", "tls_server"})
# `scripts/test fast`: what needs no server and no program, without the properties that try hundreds of examples.
IS_FAST = os.environ.get("TECHAURA_TEST_FAST") == "1"
_WITHIN_THE_PROCESS = ("core", "pipeline", "sources", "gateway")
# The suite tries the same few examples each time, so that a commit that passed passes again; `scripts/test properties` tries others,
# and more of them.
hypothesis_settings.register_profile("same", derandomize=True, database=None, max_examples=40, deadline=None)
hypothesis_settings.register_profile("other", print_blob=True, max_examples=200, deadline=None)
hypothesis_settings.load_profile("same")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On another server than the usual one, run only what touches it: the rest has been run."""
    if IS_FAST:
        chosen = [item for item in items if _is_fast(item)]
    elif CHOSEN != "mariadb":
        chosen = [item for item in items if _touches_the_server(item)]
    else:
        return
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def _is_fast(item: pytest.Item) -> bool:
    """Within the process, with one example rather than hundreds."""
    if is_hypothesis_test(getattr(item, "obj", None)):
        return False
    return item.path.relative_to(Path(__file__).parent).parts[0] in _WITHIN_THE_PROCESS


def _touches_the_server(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return not SERVERS.isdisjoint(getattr(item, "fixturenames", ())) or CHOSEN in parameters.values()


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """A private server of this test process: MariaDB, or what TECHAURA_TEST_SERVER names."""
    with server_running() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'db' / 'sync.db'}"
        return
    server: DatabaseServer = request.getfixturevalue("database_server")
    name = server.new_database()
    yield server.url(name)
    server.drop_database(name)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, once of each kind."""
    opened = Database(database_url)
    await migrate(opened)
    yield opened
    await opened.close()


@contextmanager
def service_on(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, **settings: object
) -> Iterator[Service]:
    """The real program on the kind of database that a fixture's parameter names, while the block runs.

    Args:
        settings: as for `environment`.
    """
    folder = tmp_path_factory.mktemp("service")
    data_root = folder / "data"
    data_root.mkdir()
    server: DatabaseServer | None = request.getfixturevalue("database_server") if request.param == CHOSEN else None
    name = server.new_database() if server is not None else ""
    url = server.url(name) if server is not None else f"sqlite+aiosqlite:///{folder / 'sync.db'}"
    with service_running(folder, environment(url, data_root, **settings)) as running:
        yield running
    if server is not None:
        server.drop_database(name)


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program, shared by the tests of a module, once on each kind of database."""
    with service_on(request, tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program on an embedded database, shared by the tests of a module."""
    folder = tmp_path_factory.mktemp("live")
    data_root = folder / "data"
    data_root.mkdir()
    with service_running(folder, environment(f"sqlite+aiosqlite:///{folder / 'sync.db'}", data_root)) as running:
        yield running
