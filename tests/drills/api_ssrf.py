"""Security drill 19: no payload makes the service connect to where it must not.

usage: python -m tests.drills.api_ssrf [--seed N] [--count N]

Payloads stand in ssrf_payloads.txt. `url` is the source itself; `redirect`, `next` and `link` come from an allowed source;
`token` is the endpoint of an OAuth grant; `resolves` and `tokenresolves` are what a name resolves to (the first answer of
many, as in rebinding); `proxy` is a proxy of the environment. Oracles: listeners on all addresses of the machine count
who comes, and an audit hook of the interpreter sees every connect, also to addresses that nobody listens on. With --count,
so many payloads are drawn by the seed, with repetition.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from tests.drills.api_reading import read_source, serving
from tests.support.names import names_resolved

PAYLOADS: Final = Path(__file__).with_name("ssrf_payloads.txt")
_PUBLIC_NAME: Final = "songs.example"


@dataclass
class Watch:
    """The connections that were made, and those that reached the forbidden listener."""

    kind: str = ""
    allowed_port: int = 0
    arrived: int = 0
    left: list[str] = field(default_factory=list)
    is_on: bool = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See what the interpreter does."""
        if self.is_on and event == "socket.connect":
            address = arguments[1]
            if not (isinstance(address, tuple) and address[1] == self.allowed_port):
                self.left.append(str(address))

    async def talk(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection that must not be."""
        self.arrived += 1
        writer.close()


def payloads() -> list[tuple[str, str]]:
    """Kind and target of each payload."""
    lines = PAYLOADS.read_text(encoding="utf-8").splitlines()
    split = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(kind, target) for kind, _, target in split]


@asynccontextmanager
async def forbidden(watch: Watch) -> AsyncIterator[int]:
    """Listeners on every IPv4 and IPv6 address of the machine; gives their port."""
    first = await asyncio.start_server(watch.talk, "0.0.0.0", 0)
    port = int(first.sockets[0].getsockname()[1])
    servers = [first]
    if socket.has_ipv6:
        try:
            servers.append(await asyncio.start_server(watch.talk, "::", port, family=socket.AF_INET6))
        except OSError:
            print("no IPv6 on this machine: its listener is left out", file=sys.stderr)
    try:
        yield port
    finally:
        for server in servers:
            server.close()


async def try_payload(kind: str, target: str, watch: Watch, port: int, source_port: int) -> str:
    """Aim the service at one payload; answer what is wrong, or an empty text."""
    target = target.replace("{port}", str(port))
    watch.kind, watch.allowed_port, watch.arrived, watch.left, watch.is_on = kind, source_port, 0, [], True
    try:
        rows, error = await _read(kind, target, port, f"http://127.0.0.1:{source_port}/")
    finally:
        watch.is_on = False
    await asyncio.sleep(0)
    if watch.arrived or watch.left:
        return f"{kind} {target}: {watch.arrived} connections arrived, connected to {watch.left}"
    # Past a proxy of the environment the source is read; everything else ends with an error.
    is_right = rows == 1 if kind == "proxy" else error is not None
    return "" if is_right else f"{kind} {target}: {rows} rows, error {error}"


def _answer(kind: str, request: Request) -> Response:
    if kind == "redirect":
        return RedirectResponse(request.headers["x-target"], 302)
    items = [{"id": 1}]
    if kind == "next":
        return JSONResponse({"data": items, "next": request.headers["x-target"]})
    if kind == "link":
        return JSONResponse(items, headers={"Link": f'<{request.headers["x-target"]}>; rel="next"'})
    return JSONResponse(items)


async def _read(kind: str, target: str, port: int, source: str) -> tuple[int, Any]:
    options: dict[str, Any] = {}
    settings: dict[str, Any] = {"http_retry_attempts_max": 1}
    url = source
    allowed = source.removeprefix("http://").rstrip("/")
    if kind == "url":
        return await read_source(target, options, **settings)
    if kind in ("redirect", "next", "link"):
        options = {"headers": {"X-Target": target}, "pagination": {"enabled": True, "type": "link"}}
    if kind == "token":
        options = _oauth(target)
        return await read_source(f"http://{_PUBLIC_NAME}/", options, **settings)
    if kind in ("resolves", "tokenresolves"):
        with names_resolved(lambda _name: target.split()):
            name = f"http://{_PUBLIC_NAME}:{port}/"
            if kind == "resolves":
                return await read_source(name, options, **settings)
            return await read_source("http://93.184.216.34/", _oauth(name + "token"), **settings)
    if kind == "proxy":
        names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY")
        os.environ.update(dict.fromkeys(names, target))
        try:
            return await read_source(url, options, private_hosts=allowed, **settings)
        finally:
            for name in names:
                os.environ.pop(name, None)
    return await read_source(url, options, private_hosts=allowed, **settings)


def _oauth(token_url: str) -> dict[str, Any]:
    return {"auth": {"type": "oauth2", "tokenUrl": token_url, "clientId": "c", "clientSecret": "s"}}


async def run(chosen: list[tuple[str, str]]) -> list[str]:
    """Try payloads; answer what went wrong."""
    watch = Watch()
    sys.addaudithook(watch.hook)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await _answer(watch.kind, Request(scope))(scope, receive, send)

    async with forbidden(watch) as port, serving(app) as source_port:
        problems = [await try_payload(kind, target, watch, port, source_port) for kind, target in chosen]
    return [problem for problem in problems if problem]


def main() -> int:
    """Run the drill and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    given = parser.parse_args()
    known = payloads()
    chosen = random.Random(given.seed).choices(known, k=given.count) if given.count else known
    problems = asyncio.run(run(chosen))
    for problem in problems:
        print(problem)
    print(f"drill 19 ssrf: {len(chosen)} payloads, {len(problems)} that connected or were taken (seed {given.seed})")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
