"""A private Galera cluster on loopback: three nodes of this machine's MariaDB, each with ports of its own."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from tests.support.database_server import PASSWORD, START_SECONDS_MAX, USER, MariaDb, free_port

_LIBRARIES: Final = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
_NEW_CLUSTER: Final = "--wsrep-new-cluster"


def galera_missing() -> str:
    """Why there is no Galera here; empty when there is."""
    if not any(Path(library).exists() for library in _LIBRARIES):
        return "no Galera here: install the package galera-4"
    return "" if shutil.which("rsync") else "Galera needs rsync here: install the package rsync"


def _options(ports: Sequence[int], index: int) -> tuple[str, ...]:
    library = next(library for library in _LIBRARIES if Path(library).exists())
    provider = {
        "gmcast.listen_addr": f"tcp://127.0.0.1:{ports[index]}",
        "ist.recv_addr": f"127.0.0.1:{free_port()}",
        "gcache.size": "64M",
    }
    return (
        "--wsrep-on=ON",
        f"--wsrep-provider={library}",
        "--wsrep-cluster-name=techaura",
        f"--wsrep-cluster-address=gcomm://{','.join(f'127.0.0.1:{port}' for port in ports)}",
        f"--wsrep-node-address=127.0.0.1:{ports[index]}",
        "--wsrep-sst-method=rsync",
        f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
        f"--wsrep-provider-options={';'.join(f'{name}={value}' for name, value in provider.items())}",
        "--binlog-format=ROW",
        "--innodb-autoinc-lock-mode=2",
    )


def cluster_size(node: MariaDb) -> int:
    """How many nodes a node is together with, itself included; 0 while it is not ready."""
    found = dict(node.execute("SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_ready')"))
    return int(found["wsrep_cluster_size"]) if found["wsrep_ready"] == "ON" else 0


def wait_for_size(node: MariaDb, size: int) -> None:
    """Return when a node is together with so many.

    Raises:
        RuntimeError: it is not within START_SECONDS_MAX.
    """
    ends = time.monotonic() + START_SECONDS_MAX
    while cluster_size(node) != size:
        if time.monotonic() > ends:
            raise RuntimeError(f"the cluster has {cluster_size(node)} nodes, not {size}: {node.log()[-2000:]}")
        time.sleep(0.05)


@contextmanager
def galera_running(count: int = 3) -> Iterator[list[MariaDb]]:
    """A cluster while the block runs, with the ordinary user made. A node that was killed may be started again."""
    with ExitStack() as stack:
        ports = [free_port() for _ in range(count)]
        nodes: list[MariaDb] = []
        for index in range(count):
            folder = Path(mkdtemp(prefix="techaura-galera-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            if os.geteuid() == 0:
                shutil.chown(folder, "nobody", "nogroup")
            options = _options(ports, index)
            node = MariaDb(folder, free_port(), options=options if index else (*options, _NEW_CLUSTER))
            node.initialise()
            stack.callback(node.kill)
            node.start()
            node.options = options
            nodes.append(node)
        for node in nodes:
            wait_for_size(node, count)
        nodes[0].execute(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
        yield nodes
