"""Servers that others wrote, run as any user's API: datasette over a SQLite file, and npm's json-server."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.database_server import free_port

JSON_SERVER = Path(__file__).parents[1] / "servers" / "node_modules" / "json-server" / "lib" / "cli" / "bin.js"


@contextmanager
def datasette(folder: Path, songs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A datasette with a table `songs` of texts, keyed by `id`; gives its address up to the database."""
    path = folder / "music.db"
    names = list(songs[0])
    with sqlite3.connect(path) as connection:
        columns = ", ".join(f"{name} {'INTEGER PRIMARY KEY' if name == 'id' else 'TEXT'}" for name in names)
        connection.execute(f"CREATE TABLE songs ({columns})")
        marks = ", ".join("?" * len(names))
        connection.executemany(f"INSERT INTO songs VALUES ({marks})", [tuple(song.values()) for song in songs])
    connection.close()
    program = Path(sys.executable).with_name("datasette")
    # Its own page-size limit and no in-page caching, as a public instance would have them.
    command = [program, "serve", path, "--host", "127.0.0.1", "--port", "0", "--setting", "default_cache_ttl", "0"]
    with _running([*map(str, command)], r"Uvicorn running on (http://127\.0\.0\.1:\d+)") as url:
        yield f"{url}/music"


@contextmanager
def json_server(folder: Path, document: Mapping[str, Any]) -> Iterator[str]:
    """A json-server with these collections; gives its address."""
    assert JSON_SERVER.exists(), "json-server is not installed: scripts/test does it (npm ci in tests/servers)"
    path = folder / "db.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    command = ["node", str(JSON_SERVER), "--host", "127.0.0.1", "--port", str(free_port()), str(path)]
    with _running(command, r"Home\s+(http://127\.0\.0\.1:\d+)") as url:
        yield url


@contextmanager
def _running(command: list[str], ready: str) -> Iterator[str]:
    """A process that has said that it serves; gives the address that it said."""
    with subprocess.Popen(
        command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        emptying = threading.Thread()
        try:
            said = ""
            while (found := re.search(ready, said)) is None:
                line = process.stdout.readline()
                assert line, f"{command[0]} did not start: {said}"
                said += line
            # It logs each request; a pipe that nobody empties would stop it after some hundreds.
            emptying = threading.Thread(target=process.stdout.read)
            emptying.start()
            yield found[1]
        finally:
            process.terminate()
            process.wait(timeout=10)
            if emptying.ident is not None:
                emptying.join(timeout=10)
