"""A replica needs any address of its URL, not one: what cannot be used is left for the next, which the log says once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from db.engine import Database
from db.errors import RefusedDatabaseError, TransientDatabaseError
from tests.drills.fault_proxy import FaultProxy, ProxyThread, Strike
from tests.drills.statements import Statement
from tests.support.database_server import PASSWORD, USER, DatabaseServer, free_port

NOT_READY = Strike(error=(1047, "08S01"))


class Node:
    """One address of the server, with faults of its own."""

    def __init__(self, thread: ProxyThread, port: int) -> None:
        self.is_ready = True
        self.proxy = FaultProxy(thread, port, self._judged)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.proxy.port}"

    def _judged(self, _statement: Statement) -> Strike | None:
        return None if self.is_ready else NOT_READY

    def vanish(self) -> None:
        """As a node that was killed."""
        self.proxy.weather.is_down = True
        self.proxy.reset_all()

    def freeze(self) -> None:
        """As a node that was cut off: nothing comes back, not even an end."""
        self.proxy.weather.is_black_hole = True

    def recover(self) -> None:
        self.is_ready = True
        self.proxy.weather.is_down = self.proxy.weather.is_black_hole = False


class Cluster:
    """Two addresses of one server, and a pool of connections to them."""

    def __init__(self, nodes: list[Node], name: str) -> None:
        self.nodes = nodes
        places = ",".join(node.address for node in nodes)
        self.database = Database(
            f"mysql+aiomysql://{USER}:{PASSWORD}@{places}/{name}", pool_size_max=4, connect_timeout_seconds=2
        )

    async def host(self) -> str:
        """The address behind a transaction's connection."""
        async with self.database.read() as connection:
            await connection.execute(text("SELECT 1"))
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
            return str(raw.driver_connection.address)

    async def hosts(self) -> set[str]:
        """Those behind several transactions at once."""
        return set(await asyncio.gather(*(self.host() for _ in range(4))))


@pytest.fixture
def proxies(database_server: DatabaseServer) -> Iterator[list[Node]]:
    with ProxyThread() as thread:
        yield [Node(thread, database_server.port) for _ in range(2)]


@pytest.fixture
def cluster(database_server: DatabaseServer, proxies: list[Node]) -> Cluster:
    return Cluster(proxies, database_server.new_database())


def changes(logs: Sequence[Mapping[str, object]]) -> list[tuple[object, object]]:
    """What the log says of hosts: (left, now)."""
    return [(line["left"], line["now"]) for line in logs if line["event"] == "database_host_changed"]


@pytest.mark.parametrize("fault", ["vanish", "freeze"])
async def test_a_host_that_cannot_be_reached_is_passed_over_once(cluster: Cluster, fault: str) -> None:
    first, second = cluster.nodes
    getattr(first, fault)()
    with capture_logs() as logs:
        assert await cluster.hosts() == {second.address}
    assert changes(logs) == [(first.address, second.address)]
    first.recover()
    with capture_logs() as logs:
        assert await cluster.hosts() == {second.address}
    assert changes(logs) == []
    await cluster.database.close()


@pytest.mark.parametrize("fault", ["vanish", "freeze"])
async def test_a_pool_whose_host_goes_away_goes_on_elsewhere_and_back(cluster: Cluster, fault: str) -> None:
    first, second = cluster.nodes
    assert await cluster.hosts() == {first.address}
    with capture_logs() as logs:
        getattr(first, fault)()
        assert await cluster.hosts() == {second.address}
        first.recover()
        getattr(second, fault)()
        assert await cluster.hosts() == {first.address}
    assert changes(logs) == [(first.address, second.address), (second.address, first.address)]
    await cluster.database.close()


@pytest.mark.parametrize("writes", [False, True])
async def test_a_connection_that_freezes_in_use_costs_the_pool_nothing(
    database_server: DatabaseServer, proxies: list[Node], writes: bool
) -> None:
    places = ",".join(node.address for node in proxies)
    database = Database(
        f"mysql+aiomysql://{USER}:{PASSWORD}@{places}/{database_server.new_database()}",
        pool_size_max=1,
        timeout_seconds=3,
        connect_timeout_seconds=2,
    )

    async def use() -> None:
        async with database.write() if writes else database.read() as connection:
            await connection.execute(text("SELECT 1"))
            proxies[0].freeze()

    with pytest.raises(TransientDatabaseError):
        await use()
    # The only connection that the pool may have is to be had again.
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_a_node_that_has_lost_its_cluster_is_left_with_all_its_connections(cluster: Cluster) -> None:
    first, second = cluster.nodes
    assert await cluster.hosts() == {first.address}
    first.is_ready = False
    with pytest.raises(TransientDatabaseError) as caught:
        await cluster.host()
    assert caught.value.code == 1047
    assert await cluster.hosts() == {second.address}
    # Now as the first to be asked.
    fresh = Cluster(cluster.nodes, cluster.database.url.database)
    assert await fresh.hosts() == {second.address}
    await fresh.database.close()
    await cluster.database.close()


async def test_where_no_host_can_be_used_each_is_told(cluster: Cluster) -> None:
    first, second = cluster.nodes
    first.freeze()
    second.is_ready = False
    with pytest.raises(TransientDatabaseError) as caught:
        await cluster.host()
    assert f"cannot connect to {first.address} (no answer within 2 s)" in caught.value.message
    assert f"the Galera node {second.address} is not ready" in caught.value.message
    second.recover()
    assert await cluster.hosts() == {second.address}
    await cluster.database.close()


async def test_too_many_connections_of_the_user(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    user = database_server.new_user(name, ["SELECT"])
    database_server.execute(f"ALTER USER `{user}`@'%' WITH MAX_USER_CONNECTIONS 1")
    database = Database(database_server.url(name, user=user), pool_size_max=3)
    async with database.read() as held:
        await held.execute(text("SELECT 1"))
        with pytest.raises(TransientDatabaseError, match="too many connections to 127"):
            async with database.read():
                pass
    await database.close()


async def test_a_no_is_not_asked_for_again_elsewhere(database_server: DatabaseServer, proxies: list[Node]) -> None:
    places = ",".join(node.address for node in proxies)
    for credentials, name in ((f"{USER}:wrong", "ta"), (f"{USER}:{PASSWORD}", "no_such_database")):
        database = Database(f"mysql+aiomysql://{credentials}@{places}/{name}")
        with pytest.raises(RefusedDatabaseError) as caught:
            async with database.read():
                pass
        assert "\n" not in caught.value.message and "wrong" not in caught.value.message
        await database.close()
    assert [node.proxy.connections for node in proxies] == [2, 0]


@pytest.mark.parametrize("place", ["localhost:{}", "127.0.0.1:{}"])
async def test_a_port_where_nobody_listens_is_named(place: str) -> None:
    place = place.format(free_port())
    database = Database(f"mysql+aiomysql://u:p@{place}/ta")
    with pytest.raises(TransientDatabaseError, match=rf"cannot connect to {place} \(") as caught:
        async with database.read():
            pass
    assert "refused" in caught.value.message or "no connection" in caught.value.message
    await database.close()


async def test_a_socket_is_spoken_of_by_its_path(database_server: DatabaseServer, tmp_path: Path) -> None:
    name = database_server.new_database()
    base = f"mysql+aiomysql://{USER}:{PASSWORD}@localhost/{name}?unix_socket="
    database = Database(base + quote(database_server.socket))
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
    await database.close()
    database = Database(f"{base}{tmp_path}/s.sock")
    with pytest.raises(TransientDatabaseError, match=f"the socket {tmp_path}/s.sock .no such file"):
        async with database.read():
            pass
    await database.close()


@pytest.mark.parametrize("password", ["@/:#%?&+ =;", "pässwörd", "日本語 €", "'\"\\`"])
async def test_any_password_can_be_written(database_server: DatabaseServer, password: str) -> None:
    name = database_server.new_database()
    user = database_server.new_user(name, ["SELECT"], password="once")
    with database_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER USER `{user}`@'%%' IDENTIFIED BY %s", (password,))
    database = Database(database_server.url(name, user=user, password=quote(password, safe="")))
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()
