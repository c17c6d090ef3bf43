"""Two transactions wait for each other: whoever calls the service sees nothing of it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from tests.support.database_server import DatabaseServer
from tests.support.service import environment, service_running

DEADLINE_SECONDS = 60
PENDING = "INSERT INTO sync_runs (id, source_type, source_identifier, status, paused, not_before_ms) VALUES "


def innodb(server: DatabaseServer) -> str:
    """What the server says of its transactions at this moment."""
    return str(server.execute("SHOW ENGINE INNODB STATUS")[0][2])


def test_resuming_gives_way_to_another_transaction_and_tries_again(
    tmp_path: Path, database_server: DatabaseServer
) -> None:
    name = database_server.new_database()
    answers: list[tuple[int, Any]] = []
    with service_running(tmp_path, environment(database_server.url(name), tmp_path)) as service:
        rows = ", ".join(f"({number}, 'csv', 'none.csv', 'pending', 1, 99999999999999)" for number in (1, 2))
        database_server.execute(PENDING + rows, database=name)
        with database_server.connect(name) as other, other.cursor() as cursor:
            other.begin()
            # The one that has changed less is ended.
            cursor.executemany(
                "INSERT INTO content_index (content_type, title, source_type, source_identifier) VALUES ('music', %s, 'x', 'x')",
                [(str(number),) for number in range(200)],
            )
            cursor.execute("SELECT id FROM sync_runs WHERE id = 2 FOR UPDATE")
            asking = threading.Thread(target=lambda: answers.append(service.post("/v1/sync/resume")))
            asking.start()
            deadline = time.monotonic() + DEADLINE_SECONDS
            while "LOCK WAIT" not in innodb(database_server):
                assert time.monotonic() < deadline
            # It has row 1, and waits for row 2.
            cursor.execute("SELECT id FROM sync_runs WHERE id = 1 FOR UPDATE")
            other.rollback()
        asking.join(DEADLINE_SECONDS)
        due = database_server.execute("SELECT COUNT(*) FROM sync_runs WHERE not_before_ms IS NULL", database=name)
    assert [(status, body.get("message")) for status, body in answers] == [(200, "Pending syncs resumed")]
    assert due == [(2,)]
    assert "LATEST DETECTED DEADLOCK" in innodb(database_server)
