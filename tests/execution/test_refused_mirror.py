"""A row that the table does not let a mirror switch off is told, and tried again by the next run."""

from __future__ import annotations

from pathlib import Path

from tests.support.database_server import DatabaseServer
from tests.support.story import story_on

TRIGGER = (
    "CREATE TRIGGER keeps BEFORE UPDATE ON content_index FOR EACH ROW BEGIN IF NEW.is_available = 0 AND "
    "NEW.external_id = 's-39' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kept'; END IF; END"
)


async def test_it_is_among_the_errors_and_switched_off_once_the_rule_is_gone(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database()

    def switched_on() -> int:
        ((count,),) = database_server.execute("SELECT COUNT(*) FROM content_index WHERE is_available", database=name)
        return int(count)

    async with story_on(database_server, database_server.url(name), name, tmp_path) as story:
        story.titles = [f"Canción {number}" for number in range(40)]
        story.write_songs()
        await story.run("songs.csv", mode="mirror")
        database_server.execute(TRIGGER, database=name)
        del story.titles[38:]
        story.write_songs()
        for _again in range(2):
            run = await story.run("songs.csv", mode="mirror")
            assert run["status"] == "SYNC_STATUS_COMPLETED"
            assert "still switched on" in " ".join(run["notices"])
            assert switched_on() == 39
            told = database_server.execute(
                f"SELECT error_code, error_message FROM sync_errors WHERE sync_run_id = {run['sync_run_id']}",
                database=name,
            )
            assert [code for code, _message in told] == ["refused_by_table"]
            assert "still switched on" in told[0][1]
        database_server.execute("DROP TRIGGER keeps", database=name)
        run = await story.run("songs.csv", mode="mirror")
        assert (run["status"], run.get("notices", []), switched_on()) == ("SYNC_STATUS_COMPLETED", [], 38)
