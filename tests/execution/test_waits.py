"""What a run waits for is said once when it begins and once when it is over, in the log and on the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from techaura.sync.v1 import resources_pb2
from techaura_sync import SyncServiceError, sync_spec

from tests.db.test_databases_people_have import set_globally
from tests.support.database_server import DatabaseServer
from tests.support.story import ROWS, Story, assert_ledger, story_on

Hold = Callable[[DatabaseServer, str], Callable[[], None]]


def row_locked(server: DatabaseServer, name: str) -> Callable[[], None]:
    """The bot looks at a row to change it, and thinks."""
    holder = server.connect(name, autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("SELECT id FROM content_index WHERE external_id = 's-1' FOR UPDATE")

    def let_go() -> None:
        holder.close()

    return let_go


def table_locked(server: DatabaseServer, name: str) -> Callable[[], None]:
    """The bot has the table for itself."""
    holder = server.connect(name)
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLES content_index READ")

    def let_go() -> None:
        holder.close()

    return let_go


@asynccontextmanager
async def read_only(server: DatabaseServer) -> AsyncIterator[None]:
    """The server is read-only while the block runs, as in a failover.

    It becomes so once every statement in hand has ended. The service of the story lives in this event loop, and one of
    those statements may be a LOAD DATA that waits for its rows, so the loop must not wait for the server.
    """
    setting = set_globally(server, {"read_only": 1})
    await asyncio.to_thread(setting.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(setting.__exit__, None, None, None)


async def begun(story: Story) -> int:
    (accepted,) = [each async for each in story.client.trigger(sync_spec("csv", "songs.csv"), detach=True)]
    return int(accepted.accepted.sync_run_id)


async def in_its_middle(story: Story) -> int:
    """A run of many batches, some of which are written."""
    story.titles = [f"Canción {number} que es algo más larga" for number in range(6000)]
    story.write_songs()
    run_id = await begun(story)
    async for update in story.client.watch(run_id):
        if update.run.ledger.rows_read:
            return run_id
    raise AssertionError("the run ended before it was looked at")


async def ended(story: Story, run_id: int) -> list[str]:
    """The notices of a run that has come to a good end."""
    async for update in story.client.watch(run_id):
        last = update
    assert last.run.status == resources_pb2.SYNC_STATUS_COMPLETED, last
    return list(last.run.notices)


async def waiting(story: Story, run_id: int) -> str:
    """What the run says that it waits for, as soon as it does; a watcher is told without asking again."""
    async with asyncio.timeout(60):
        async for update in story.client.watch(run_id):
            for notice in update.run.notices:
                if notice.startswith("waiting: "):
                    return notice
    raise AssertionError("the run ended without a wait")


def of_runs(logs: list[Any], event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event and entry["action"] == "run"]


@pytest.mark.parametrize("hold", [row_locked, table_locked])
async def test_a_run_says_what_it_waits_for_and_goes_on_when_it_is_over(
    database_server: DatabaseServer, tmp_path: Path, hold: Hold
) -> None:
    name = database_server.new_database()
    settings = {"database_lock_wait_seconds": 1, "batch_retry_attempts_max": 100, "lease_ttl_seconds": 60.0}
    async with story_on(database_server, database_server.url(name), name, tmp_path, **settings) as story:
        await story.tell()
        story.titles[1] += " otra vez"
        story.write_songs()
        release = hold(database_server, name)
        with capture_logs() as logs:
            try:
                run_id = await begun(story)
                told = await waiting(story, run_id)
            finally:
                release()
            last = await ended(story, run_id)
        assert story.songs() == story.expected()
    words = "waited for a lock on content_index that another connection holds"
    assert words in told
    (began,), (over,) = of_runs(logs, "waiting"), of_runs(logs, "wait_over")
    assert (began["reason"], began["code"], began["statement"]) == ("DATABASE_LOCKED", 1205, "UPDATE content_index")
    assert words in began["error"]
    assert (began["run_id"], over["run_id"], over["tries"] >= 1) == (run_id, run_id, True)
    assert not any(notice.startswith("waiting: ") for notice in last)
    assert over["seconds"] < 1 or any(words in notice for notice in last)


async def test_a_failover_in_the_middle_of_a_run_is_waited_for_and_said(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database()
    settings = {"csv_block_bytes": 4096, "batch_retry_attempts_max": 100, "lease_ttl_seconds": 60.0}
    async with story_on(database_server, database_server.url(name), name, tmp_path, **settings) as story:
        with capture_logs() as logs:
            run_id = await in_its_middle(story)
            async with read_only(database_server):
                told = await waiting(story, run_id)
                with pytest.raises(SyncServiceError) as refused:
                    await begun(story)
            last = await ended(story, run_id)
        assert story.songs() == story.expected()
    assert "the database is read-only" in told
    assert refused.value.reason == "DATABASE_READ_ONLY"
    began, over = of_runs(logs, "waiting"), of_runs(logs, "wait_over")
    assert (len(began), len(over)) == (1, 1)
    assert began[0]["reason"] == "DATABASE_READ_ONLY"
    assert not any(notice.startswith("waiting: ") for notice in last)
    # Whoever else needed the database meanwhile has said so once, and that it is over once, whatever the number of tries.
    said = [(entry["event"], entry["action"]) for entry in logs if entry["event"] in ("waiting", "wait_over")]
    assert len(said) == len(set(said))


async def test_a_wait_that_is_longer_than_the_lease_is_told_on_the_run_until_it_is_over(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database()
    settings = {"csv_block_bytes": 4096, "lease_ttl_seconds": 1.0, "heartbeat_interval_seconds": 0.25}
    async with story_on(database_server, database_server.url(name), name, tmp_path, **settings) as story:
        with capture_logs() as logs:
            run_id = await in_its_middle(story)
            async with read_only(database_server):
                async with asyncio.timeout(60):
                    # The lease runs out: the run is nobody's.
                    while not any(entry["event"] in ("run_ended", "run_ending_not_stored") for entry in logs):
                        await story.client.status(run_id)
                told = await waiting(story, run_id)
            last = await ended(story, run_id)
        assert story.songs() == story.expected()
    assert "the database is read-only" in told
    assert not any(notice.startswith("waiting: ") for notice in last)


async def test_a_run_that_cannot_be_claimed_says_why(database_server: DatabaseServer, tmp_path: Path) -> None:
    name = database_server.new_database()
    async with story_on(database_server, database_server.url(name), name, tmp_path) as story:
        story.titles = ["one"]
        story.write_songs()
        holder = database_server.connect(name, autocommit=False)
        with holder.cursor() as cursor:
            # The bot has put a run there, and then the database became read-only.
            cursor.execute(
                "INSERT INTO sync_runs (source_type, source_identifier, status, sync_metadata) "
                "VALUES ('csv', 'songs.csv', 'pending', '{}')"
            )
            cursor.execute("SELECT LAST_INSERT_ID()")
            (run_id,) = cursor.fetchone()
            async with read_only(database_server):
                holder.commit()
                told = await waiting(story, run_id)
        holder.close()
        last = await ended(story, run_id)
        assert story.songs() == story.expected()
    assert "the database is read-only" in told
    assert not any(notice.startswith("waiting: ") for notice in last)


async def test_a_lock_that_is_never_let_go_ends_the_run_in_words_that_say_so(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database()
    settings = {
        "database_lock_wait_seconds": 1,
        "batch_retry_attempts_max": 2,
        "batch_retry_elapsed_seconds_max": 2.0,
        "lease_ttl_seconds": 60.0,
    }
    async with story_on(database_server, database_server.url(name), name, tmp_path, **settings) as story:
        await story.tell()
        story.titles[1] += " otra vez"
        story.write_songs()
        release = row_locked(database_server, name)
        try:
            run = await story.run("songs.csv")
        finally:
            release()
        assert run["status"] == "SYNC_STATUS_FAILED"
        error = run["failure"]
        assert (error["reason"], error["retryable"]) == ("DATABASE_LOCKED", True)
        assert "waited for a lock on content_index that another connection holds" in error["message"]
        assert "find the connection" in error["next_step"]
        assert_ledger(await story.run("songs.csv"), updated=1, unchanged=ROWS)


async def test_a_user_who_may_look_is_told_who_holds_the_lock(database_server: DatabaseServer, tmp_path: Path) -> None:
    name = database_server.new_database()
    user = database_server.new_user(name, ("ALL",))
    database_server.execute(f"GRANT PROCESS ON *.* TO `{user}`@'%'")
    url = database_server.url(name, user=user)
    settings = {"database_lock_wait_seconds": 1, "batch_retry_attempts_max": 100, "lease_ttl_seconds": 60.0}
    async with story_on(database_server, url, name, tmp_path, **settings) as story:
        await story.tell()
        story.titles[1] += " otra vez"
        story.write_songs()
        release = row_locked(database_server, name)
        try:
            run_id = await begun(story)
            told = await waiting(story, run_id)
        finally:
            release()
        await ended(story, run_id)
    assert "open for longest is the transaction of connection" in told
    assert "root@localhost" in told
