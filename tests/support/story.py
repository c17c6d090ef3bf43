"""What every database must come through: a first load, the same again, a few rows changed, and catalog items.

Told through the real server, started in this process, by a real gRPC client, as the ordinary user; what stands in the
tables afterwards is compared row by row, read by root.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from techaura_sync import sync_spec
from techaura_sync.aio import AsyncSyncClient

from server.app import server_running
from server.core.config import Settings
from tests.support.database_server import DatabaseServer
from tests.support.service import TEST_KEY

ROWS = 40
# What makes trouble where a mode or a character set is in the way.
_HARD = ('O\'Brien \\ "x" %s :x `y`', "Ñandú é 😀 日本", "\\N NULL '' --", "tab\there; line\nbreak")


@dataclass
class Story:
    """One database and a server on it."""

    server: DatabaseServer
    name: str
    folder: Path
    client: AsyncSyncClient
    titles: list[str] = field(default_factory=list)

    async def run(self, file: str, **options: Any) -> dict[str, Any]:
        """Sync a file with options as JSON has them; return the run as the service tells it."""
        spec = sync_spec("csv", file, options)
        (accepted,) = [each async for each in self.client.trigger(spec, detach=True)]
        last = None
        async for update in self.client.watch(accepted.accepted.sync_run_id):
            last = update
        assert last is not None
        told: dict[str, Any] = json_format.MessageToDict(last.run, preserving_proto_field_name=True)
        return told

    def write_songs(self) -> None:
        """The file of songs as `titles` has them."""
        with (self.folder / "songs.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["external_id", "title", "artist", "genre", "year"])
            for number, title in enumerate(self.titles):
                writer.writerow([f"s-{number}", title, f"Artista {number % 7}", "Salsa", 1950 + number])

    def songs(self) -> dict[str, tuple[str, str | None, Any]]:
        """What stands in content_index, by external id."""
        rows = self.server.execute(
            "SELECT external_id, title, artist, metadata FROM content_index WHERE source_type = 'csv'",
            database=self.name,
        )
        return {key: (title, artist, json.loads(metadata)) for key, title, artist, metadata in rows}

    def expected(self) -> dict[str, tuple[str, str | None, Any]]:
        """What must stand there."""
        return {
            f"s-{number}": (title, f"Artista {number % 7}", {"year": str(1950 + number)})
            for number, title in enumerate(self.titles)
        }

    async def tell(self, *, hard: tuple[str, ...] = _HARD) -> None:
        """The whole story, each part compared with the tables.

        Args:
            hard: titles among the rows that the database can hold.
        """
        self.titles = [*hard, *(f"Canción {number}" for number in range(ROWS - len(hard)))]
        self.write_songs()
        assert_ledger(await self.run("songs.csv"), inserted=ROWS)
        assert self.songs() == self.expected()
        assert_ledger(await self.run("songs.csv"), unchanged=ROWS)
        for number in (1, 7, ROWS - 1):
            self.titles[number] += " (en vivo)"
        self.titles.append("Nueva")
        self.write_songs()
        assert_ledger(await self.run("songs.csv"), updated=3, inserted=1, unchanged=ROWS - 3)
        assert self.songs() == self.expected()
        await self._tell_items()

    async def _tell_items(self) -> None:
        head = "category_id,capacity,capacity_gb,price,content_count,content_unit\n"
        path = self.folder / "prices.csv"
        path.write_text(head + "music,16GB,16,69900,3000,canciones\nmusic,32GB,32,89900,5000,canciones\n")
        assert_ledger(await self.run("prices.csv", targetTable="catalog_items"), inserted=2)
        path.write_text(head + "music,16GB,16,71900,3000,canciones\nmusic,32GB,32,89900,5000,canciones\n")
        assert_ledger(await self.run("prices.csv", targetTable="catalog_items"), updated=1, unchanged=1)
        stored = self.server.execute(
            "SELECT capacity, CAST(price AS CHAR) FROM catalog_items WHERE category_id = 'music' ORDER BY capacity_gb",
            database=self.name,
        )
        assert [(capacity, float(price)) for capacity, price in stored] == [("16GB", 71900.0), ("32GB", 89900.0)]
        logged = self.server.execute(
            "SELECT action, field_changed FROM catalog_change_log WHERE changed_by = 'csv_sync' ORDER BY id",
            database=self.name,
        )
        assert [row for row in logged if row[0] == "create"] == [("create", None)] * 2
        assert ("update", "price") in logged


def assert_ledger(run: Mapping[str, Any], **expected: int) -> None:
    """The run is completed, with these counts and no others."""
    assert run["status"] == "SYNC_STATUS_COMPLETED", run
    counts = {name.removeprefix("rows_"): int(value) for name, value in run.get("ledger", {}).items()}
    counts.pop("read", None)
    assert counts == {name: value for name, value in expected.items() if value}, run


@asynccontextmanager
async def story_on(server: DatabaseServer, url: str, name: str, folder: Path, **settings: Any) -> AsyncIterator[Story]:
    """The service on a database while the block runs.

    Args:
        url: of the database, as the service is given it.
        name: of the database.
        folder: for the files.
    """
    given: dict[str, Any] = {
        "database_url": url,
        "data_roots": str(folder),
        "secret_key": TEST_KEY,
        "grpc_port": 0,
        "csv_settle_seconds": 0,
        "poll_interval_seconds": 0.25,
        "progress_interval_seconds": 0.01,
        "follow_interval_seconds": 0.02,
        "database_pool_size_max": 5,
    } | settings
    async with (
        server_running(Settings(**given)) as running,
        AsyncSyncClient(f"127.0.0.1:{running.grpc_port}") as client,
    ):
        running.start_work()
        yield Story(server, name, folder, client)
