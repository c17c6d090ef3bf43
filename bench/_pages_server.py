"""The local sources of `scripts/bench api`: pages of music items, served by uvicorn on a free port.

`/ready` responds with pages that were made beforehand and lie in memory, the least that a Python server can cost.
`/made` is an ordinary small application: Starlette asks an SQLite table for each page and writes it as JSON.
`/far` responds with the same pages as `/ready`, so many milliseconds later as `delayMs` says, as a server far away does.
Runs in a process of its own, prints its port, and ends with SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sqlite3
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.load import GENRES, WORDS

PAGE_ITEMS = 100


def item(number: int) -> dict[str, Any]:
    """One item of the catalogue, in the shape that music services use; the same number gives the same item."""
    word = WORDS[number % len(WORDS)]
    return {
        "id": f"mus-{number:08d}",
        "name": f"{word} {WORDS[number // 7 % len(WORDS)]} {number}",
        "artist": {"id": number % 5000, "name": f"{word.title()} {number % 5000}", "verified": number % 3 == 0},
        "album": {"name": f"Álbum {number % 90000}", "year": 1950 + number % 75},
        "genres": [GENRES[number % len(GENRES)], GENRES[number // 3 % len(GENRES)]],
        "durationMs": 120_000 + number % 200_000,
        "price": round(0.5 + number % 300 / 100, 2),
        "url": f"https://music.example/tracks/mus-{number:08d}",
    }


def flat(one: dict[str, Any]) -> dict[str, Any]:
    """An item as a row of a plain table."""
    return {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in one.items()}


def pages(items: int) -> list[bytes]:
    """The bodies of all pages, and of the empty one after the last; without white space, as most servers write JSON."""
    made = []
    for first in range(0, items + PAGE_ITEMS, PAGE_ITEMS):
        held = [item(number) for number in range(first, min(first + PAGE_ITEMS, items))]
        made.append(json.dumps({"data": held, "total": items}, ensure_ascii=False, separators=(",", ":")).encode())
    return made


def table(items: int) -> sqlite3.Connection:
    """An SQLite table of the items, the scalar fields in columns and the others as JSON, as applications keep them."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE tracks (n INTEGER PRIMARY KEY, id, name, artist, album, genres, durationMs, price, url)"
    )
    found = (item(number) for number in range(items))
    rows = (list(flat(one).values()) for one in found)
    connection.executemany(
        "INSERT INTO tracks (id, name, artist, album, genres, durationMs, price, url) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    connection.row_factory = sqlite3.Row
    return connection


async def serve(items: int) -> None:
    """Serve until a signal comes."""
    bodies, tracks = pages(items), table(items)

    async def ready(request: Request) -> Response:
        return Response(bodies[int(request.query_params["page"]) - 1], media_type="application/json")

    async def far(request: Request) -> Response:
        await asyncio.sleep(int(request.query_params["delayMs"]) / 1000)
        return await ready(request)

    async def made(request: Request) -> Response:
        page, limit = int(request.query_params["page"]), int(request.query_params["limit"])
        found = tracks.execute("SELECT * FROM tracks ORDER BY n LIMIT ? OFFSET ?", (limit, (page - 1) * limit))
        held = [
            {
                name: json.loads(row[name]) if name in ("artist", "album", "genres") else row[name]
                for name in row.keys()[1:]
            }
            for row in found
        ]
        (total,) = tracks.execute("SELECT COUNT(*) FROM tracks").fetchone()
        return JSONResponse({"data": held, "total": total})

    app = Starlette(routes=[Route("/ready", ready), Route("/made", made), Route("/far", far)])
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, required=True)
    asyncio.run(serve(parser.parse_args().items))
