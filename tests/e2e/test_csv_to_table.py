"""CSV files through the real program into both tables, on both kinds of database, as a caller sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.support.service import Service

MUSIC = "title,artist,genre\nRebelión,Joe Arroyo,Salsa\nAntología,Shakira,Pop\n"
PRICES = (
    "category_id,capacity,capacity_gb,price,content_count,content_unit,is_active\n"
    "music,16GB,16,69900,3000,canciones,true\n"
    "movies,64GB,64,129900.50,55,películas,si\n"
)


def rows(service: Service, sql: str, **values: object) -> list[Any]:
    """What stands in the database, seen by another client than the service."""
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]
    finally:
        engine.dispose()


@pytest.fixture
def put(service: Service, request: pytest.FixtureRequest) -> Any:
    """Write a file of the test's own into the data root; answers its name."""

    def write(content: str | bytes, name: str = "file.csv") -> str:
        path = service.data_root / f"{request.node.name.split('[')[0]}-{name}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path.name

    return write


def test_a_music_file_is_stored_row_by_row(service: Service, put: Any) -> None:
    name = put(MUSIC)
    run = service.run("csv", name, {"contentType": "video"})
    assert (run["status"], run["itemsProcessed"], run["itemsFailed"], run["itemsSkipped"]) == ("completed", 2, 0, 0)
    assert rows(
        service,
        "SELECT title, artist, genre, content_type, source_type, is_available, last_synced_at IS NOT NULL "
        "FROM content_index WHERE source_identifier = :name ORDER BY id",
        name=name,
    ) == [
        ("Rebelión", "Joe Arroyo", "Salsa", "video", "csv", 1, 1),
        ("Antología", "Shakira", "Pop", "video", "csv", 1, 1),
    ]


def test_columns_are_mapped_without_regard_to_case_and_the_rest_is_kept_in_metadata(service: Service, put: Any) -> None:
    name = put("SONG;Who;Year;External_ID\nRebelión;Joe;1985;x-1\n")
    run = service.run("csv", name, {"delimiter": ";", "columnMapping": {"Title": "song", "artist": "WHO"}})
    assert run["status"] == "completed"
    (found,) = rows(
        service,
        "SELECT title, artist, external_id, metadata FROM content_index WHERE source_identifier = :name",
        name=name,
    )
    assert found[:3] == ("Rebelión", "Joe", "x-1")
    assert json.loads(found[3]) == {"Year": "1985"}


def test_prices_are_stored_and_every_change_is_logged_once(service: Service, put: Any) -> None:
    options = {"targetTable": "catalog_items"}
    name = put(PRICES)
    assert service.run("csv", name, options)["ledger"]["inserted"] == 2
    assert service.run("csv", name, options)["ledger"]["unchanged"] == 2
    put(PRICES.replace("69900", "74900"))
    assert service.run("csv", name, options)["ledger"]["updated"] == 1
    log = rows(
        service,
        "SELECT action, field_changed, old_value, new_value, changed_by, change_reason FROM catalog_change_log "
        "WHERE change_reason LIKE :name ORDER BY id",
        name=f"%{name}%",
    )
    assert [entry[:2] for entry in log] == [("create", None), ("create", None), ("update", "price")]
    assert [float(value) for value in log[2][2:4]] == [69900.0, 74900.0]
    assert {entry[4] for entry in log} == {"csv_sync"}


def test_a_line_inserted_at_the_top_shifts_no_row(service: Service, put: Any) -> None:
    name = put(MUSIC)
    service.run("csv", name)
    query = "SELECT id, title FROM content_index WHERE source_identifier = :name ORDER BY id"
    before = rows(service, query, name=name)
    put(MUSIC.replace("genre\n", "genre\nNueva,Alguien,Pop\n"))
    ledger = service.run("csv", name)["ledger"]
    assert (ledger["inserted"], ledger["updated"], ledger["unchanged"]) == (1, 0, 2)
    assert rows(service, query, name=name)[:2] == before


def test_true_duplicates_are_all_kept_and_stay_the_same_rows(service: Service, put: Any) -> None:
    name = put("title,artist\nUna,X\nUna,X\nDos,Y\nUna,X\n")
    assert service.run("csv", name)["ledger"]["inserted"] == 4
    assert service.run("csv", name)["ledger"]["unchanged"] == 4


def test_of_rows_with_one_mapped_id_the_last_wins_and_the_earlier_ones_are_listed(service: Service, put: Any) -> None:
    name = put("external_id,title\n1,first\n2,other\n1,second\n1,third\n")
    run = service.run("csv", name)
    assert (run["itemsProcessed"], run["itemsSkipped"], run["status"]) == (2, 2, "completed")
    query = "SELECT external_id, title FROM content_index WHERE source_identifier = :name ORDER BY external_id"
    assert rows(service, query, name=name) == [("1", "third"), ("2", "other")]
    status, answer = service.get(f"/v1/sync/{run['syncRunId']}/errors")
    assert status == 200
    assert sorted((error["code"], error["line"]) for error in answer["data"]) == [
        ("duplicate_key", 2), ("duplicate_key", 4),
    ]  # fmt: skip
    assert service.run("csv", name)["ledger"] | {} == {
        "rowsRead": 4, "inserted": 0, "updated": 0, "unchanged": 2, "rejected": 0, "skipped": 2,
    }  # fmt: skip


def test_a_refused_row_supersedes_no_good_one(service: Service, put: Any) -> None:
    good = "".join(f"{n},t{n}\n" for n in range(100, 120))
    name = put(f"external_id,title\n1,good\n{good}1,\n")
    run = service.run("csv", name)
    assert (run["itemsProcessed"], run["itemsFailed"], run["itemsSkipped"]) == (21, 1, 0)
    query = "SELECT title FROM content_index WHERE source_identifier = :name AND external_id = '1'"
    assert rows(service, query, name=name) == [("good",)]


def test_a_bad_row_is_listed_with_line_column_and_raw_text(service: Service, put: Any) -> None:
    good = "".join(f"music,{n}GB,{n},100,1,canciones\n" for n in range(1000, 1020))
    head = "category_id,capacity,capacity_gb,price,content_count,content_unit\n"
    name = put(f"{head}{good}music,9GB,nine,100,1,canciones\n")
    run = service.run("csv", name, {"targetTable": "catalog_items"})
    assert (run["status"], run["itemsProcessed"], run["itemsFailed"]) == ("completed", 20, 1)
    assert run["errors"][0]["type"] == "validation"
    ((line, column, data, details),) = rows(
        service,
        "SELECT line_no, column_name, item_data, error_details FROM sync_errors WHERE sync_run_id = :run",
        run=run["syncRunId"],
    )
    assert (line, column) == (22, "capacity_gb")
    assert "music,9GB,nine,100,1,canciones" in data
    assert "line 22" in details


def test_a_run_with_too_many_bad_rows_fails_and_keeps_the_good_ones(service: Service, put: Any) -> None:
    name = put("title,artist\nok,a\n,b\n,c\n")
    run = service.run("csv", name)
    assert (run["status"], run["itemsProcessed"], run["itemsFailed"]) == ("failed", 1, 2)
    assert run["failure"]["reason"] == "ERROR_BUDGET_EXCEEDED"
    assert rows(service, "SELECT title FROM content_index WHERE source_identifier = :name", name=name) == [("ok",)]


def test_rows_that_stand_as_row_numbers_keep_their_numbering_and_the_run_says_so(service: Service, put: Any) -> None:
    name = put(MUSIC)
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    engine = create_engine(url)
    with engine.begin() as connection:
        for number, title in enumerate(["Rebelión", "Antología"]):
            connection.execute(
                text(
                    "INSERT INTO content_index (content_type, title, source_type, source_identifier, external_id) "
                    "VALUES ('music', :title, 'csv', :name, :id)"
                ),
                {"title": title, "name": name, "id": f"row_{number}"},
            )
    engine.dispose()
    run = service.run("csv", name)
    assert run["ledger"]["inserted"] == 0
    query = "SELECT external_id, title, artist FROM content_index WHERE source_identifier = :name ORDER BY id"
    assert rows(service, query, name=name) == [
        ("row_0", "Rebelión", "Joe Arroyo"), ("row_1", "Antología", "Shakira"),
    ]  # fmt: skip
    assert any("row_<n>" in notice for notice in run["notices"])


def test_a_file_with_only_a_header_completes_with_nothing(service: Service, put: Any) -> None:
    run = service.run("csv", put("title,artist\n"))
    assert (run["status"], run["ledger"]["rowsRead"]) == ("completed", 0)


def test_a_pending_run_that_the_bot_wrote_is_picked_up_and_its_secrets_are_sealed(service: Service, put: Any) -> None:
    name = put(MUSIC)
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    engine = create_engine(url)
    insert = text(
        "INSERT INTO sync_runs (source_type, source_identifier, status, sync_metadata) VALUES (:type, :name, 'pending', :o)"
    )
    options = '{"contentType": "movie"}'
    secret = '{"auth": {"type": "bearer", "token": "canary-7f3a"}}'
    with engine.begin() as connection:
        connection.execute(insert, {"type": "csv", "name": name, "o": options})
        connection.execute(insert, {"type": "api", "name": "http://127.0.0.1:9/none", "o": secret})
    engine.dispose()
    ids = [run_id for (run_id,) in rows(service, "SELECT id FROM sync_runs ORDER BY id DESC LIMIT 2")]
    service.post("/v1/sync/resume")
    assert service.finished(ids[1])["status"] == "completed"
    assert rows(
        service, "SELECT DISTINCT content_type FROM content_index WHERE source_identifier = :name", name=name
    ) == [("movie",)]
    assert service.finished(ids[0])["status"] == "failed"
    ((stored,),) = rows(service, "SELECT sync_metadata FROM sync_runs WHERE id = :id", id=ids[0])
    assert "canary-7f3a" not in stored
    assert "encrypted" in stored
    assert "canary-7f3a" not in service.log()


@pytest.mark.parametrize("broken", ["[1", "{bad", '"text"', "[]", "5"])
def test_a_row_of_the_bot_with_broken_options_fails_clearly_and_hides_no_other_run(
    service: Service, put: Any, broken: str
) -> None:
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    if "sqlite" not in url and broken in ("[1", "{bad"):
        pytest.skip("this database takes no broken JSON")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sync_runs (source_type, source_identifier, status, sync_metadata) "
                "VALUES ('csv', 'broken.csv', 'pending', :options)"
            ),
            {"options": broken},
        )
    engine.dispose()
    ((run_id,),) = rows(service, "SELECT MAX(id) FROM sync_runs")
    run = service.finished(run_id)
    assert (run["status"], run["failure"]["reason"]) == ("failed", "INVALID_OPTION")
    assert run["failure"]["retryable"] is False
    assert service.get("/v1/sync/runs")[0] == 200


def test_rows_without_a_value_in_the_mapped_id_are_told_apart_by_their_content(service: Service, put: Any) -> None:
    name = put("external_id,title\n,same\n7,other\n,same\n,same\n7,later\n")
    run = service.run("csv", name)
    assert (run["ledger"]["inserted"], run["ledger"]["skipped"]) == (4, 1)
    assert service.run("csv", name)["ledger"]["unchanged"] == 4
