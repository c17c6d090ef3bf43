"""Rows that another worker made, of a type that this service does not know, stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from structlog.testing import capture_logs

from db.engine import Database
from db.schema import sync_runs
from server.core.config import Settings
from server.core.secret_box import SecretBox
from server.execution.leases import apply_stop_requests, claim
from server.execution.source_keys import SourceKeys
from server.schedules.nightly_retry import RetryScheduler
from server.schedules.retention import Retention
from tests.support.clock import FakeClock
from tests.support.service import TEST_KEY

TYPES = ("usb", "drive", "USB", "csv2", "")


async def everything(database: Database) -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(sync_runs).order_by(sync_runs.c.id))).all())


async def store(database: Database, source_type: str, status: str, **values: object) -> None:
    async with database.write() as connection:
        await connection.execute(
            insert(sync_runs).values(source_type=source_type, source_identifier="/mnt/x", status=status, **values)
        )


@pytest.mark.parametrize("source_type", TYPES)
async def test_they_are_neither_claimed_nor_ended_nor_retried_nor_removed(
    database: Database, tmp_path: Path, source_type: str
) -> None:
    for status in ("pending", "in_progress", "failed", "completed", "cancelled"):
        await store(database, source_type, status, error_retryable=True)
        await store(database, source_type, status, error_retryable=True)
    async with database.write() as connection:
        await connection.execute(text("UPDATE sync_runs SET created_at = '2001-01-01', updated_at = '2001-01-01'"))
    before = await everything(database)
    settings, clock, woken = Settings(data_roots=str(tmp_path), retry_age_days_max=3650), FakeClock(), []
    keys = SourceKeys(settings, SecretBox(TEST_KEY))
    with capture_logs() as logs:
        for _ in range(3):
            assert await claim(database, settings, "w", keys) is None
    assert await apply_stop_requests(database) == []
    await RetryScheduler(database, settings, clock, lambda: woken.append(1)).fire_if_due()
    await Retention(database, settings, clock).clean()
    assert await everything(database) == before
    assert [(entry["event"], entry["source_types"]) for entry in logs] == [("runs_of_other_workers", [source_type])]


async def test_they_do_not_stand_in_the_way_of_ours(database: Database, tmp_path: Path) -> None:
    for _ in range(600):
        await store(database, "usb", "pending")
    await store(database, "csv", "pending")
    settings = Settings(data_roots=str(tmp_path))
    lease = await claim(database, settings, "w", SourceKeys(settings, SecretBox(TEST_KEY)))
    assert lease is not None
    assert lease.run_id == 601
