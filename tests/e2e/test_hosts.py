"""A run whose database host goes away in its middle goes on through another one of the URL, by itself and exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import check_completed
from tests.drills.fault_proxy import FaultProxy, ProxyThread
from tests.support.database_server import PASSWORD, USER, DatabaseServer
from tests.support.service import environment, service_running


@pytest.fixture
def proxies(database_server: DatabaseServer) -> Iterator[list[FaultProxy]]:
    with ProxyThread() as thread:
        yield [FaultProxy(thread, database_server.port) for _ in range(2)]


@pytest.mark.parametrize("fault", ["is_down", "is_black_hole"])
def test_a_run_goes_on_through_another_host(
    database_server: DatabaseServer, proxies: list[FaultProxy], tmp_path: Path, fault: str
) -> None:
    name = database_server.new_database()
    places = ",".join(f"127.0.0.1:{proxy.port}" for proxy in proxies)
    catalogue = Catalogue("catalogue.csv", 6_000)
    (tmp_path / catalogue.name).write_bytes(catalogue.content())
    environ = environment(
        f"mysql+aiomysql://{USER}:{PASSWORD}@{places}/{name}",
        tmp_path,
        CSV_BLOCK_BYTES=8192,
        DATABASE_CONNECT_TIMEOUT_SECONDS=1,
        DATABASE_TIMEOUT_SECONDS=5,
    )
    with service_running(tmp_path, environ) as service, database_server.connect(name) as eye, eye.cursor() as cursor:
        run_id = service.trigger("csv", catalogue.name)
        while cursor.execute("SELECT 1 FROM sync_batches") < 3:
            assert service.process.poll() is None
        setattr(proxies[0].weather, fault, True)
        if fault == "is_down":
            proxies[0].reset_all()
        service.finished(run_id)
        check_completed(eye, run_id, catalogue)
        lines = [json.loads(line) for line in service.log().splitlines()]
    changed = [(line["left"], line["now"]) for line in lines if line["event"] == "database_host_changed"]
    assert changed == [tuple(places.split(","))]
    assert [line for line in lines if "exception" in line] == []
