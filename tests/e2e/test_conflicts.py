"""Columns that someone edited in the table since the last sync: who wins, what is counted, what is listed."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support.seen import change, select
from tests.support.service import Service

HEAD = "external_id,title,artist,genre,year\n"
BEFORE = HEAD + "1,One,A,Pop,1990\n2,Two,B,Rock,1991\n3,Three,C,Salsa,1992\n"
# Row 1 as it was, row 2 with another genre, row 3 with another title.
AFTER = HEAD + "1,One,A,Pop,1990\n2,Two,B,Metal,1991\n3,Drei,C,Salsa,1992\n"


@pytest.fixture
def file(service: Service, request: pytest.FixtureRequest) -> str:
    """A file that was synced, and then row 1 and row 2 edited in the table: each the artist."""
    name = f"{request.node.name.split('[')[0]}-{abs(hash(request.node.name)) % 10**6}.csv"
    (service.data_root / name).write_text(BEFORE)
    assert service.run("csv", name)["ledger"]["inserted"] == 3
    edit = "UPDATE content_index SET artist = 'Edited' WHERE source_identifier = :name AND external_id IN ('1', '2')"
    assert change(service, edit, name=name) == 2
    return name


def stored(service: Service, name: str) -> list[Any]:
    query = "SELECT title, artist, genre FROM content_index WHERE source_identifier = :name ORDER BY external_id"
    return select(service, query, name=name)


def sync(service: Service, name: str, policy: str, content: str = AFTER) -> dict[str, Any]:
    (service.data_root / name).write_text(content)
    run = service.run("csv", name, {"conflictPolicy": policy})
    assert run["status"] == "completed", run
    return run


def test_the_source_wins_unless_the_request_says_otherwise(service: Service, file: str) -> None:
    (service.data_root / file).write_text(AFTER)
    run = service.run("csv", file)
    assert (run["ledger"]["updated"], run["ledger"]["unchanged"], run["conflicts"]) == (3, 0, 2)
    assert stored(service, file) == [("One", "A", "Pop"), ("Two", "B", "Metal"), ("Drei", "C", "Salsa")]
    (service.data_root / file).write_text(AFTER + "4,Four,D,Pop,1993\n")
    assert service.run("csv", file)["conflicts"] == 0


def test_keep_local_keeps_what_was_edited_and_takes_the_rest_from_the_source(service: Service, file: str) -> None:
    run = sync(service, file, "keep_local")
    expected = [("One", "Edited", "Pop"), ("Two", "Edited", "Metal"), ("Drei", "C", "Salsa")]
    assert stored(service, file) == expected
    # Row 1 was not written at all, rows 2 and 3 were.
    assert (run["ledger"]["updated"], run["ledger"]["skipped"], run["conflicts"]) == (2, 1, 2)
    assert run["errors"] == []
    again = sync(service, file, "keep_local", AFTER.replace("Salsa", "Bolero"))
    assert stored(service, file) == [*expected[:2], ("Drei", "C", "Bolero")]
    assert (again["ledger"]["updated"], again["ledger"]["skipped"], again["conflicts"]) == (1, 2, 2)


def test_report_keeps_it_and_lists_it(service: Service, file: str) -> None:
    run = sync(service, file, "report")
    assert stored(service, file)[0] == ("One", "Edited", "Pop")
    assert run["conflicts"] == 2
    status, answer = service.get(f"/v1/sync/{run['syncRunId']}/errors")
    assert status == 200
    listed = sorted((error["line"], error["code"], error["column"], error["raw"]) for error in answer["data"])
    assert listed == [(2, "conflict", "artist", "1,One,A,Pop,1990"), (3, "conflict", "artist", "2,Two,B,Metal,1991")]


def test_newest_wins_goes_by_the_times_of_the_file_and_of_the_row(service: Service, file: str) -> None:
    path = service.data_root / file
    times = (
        "UPDATE content_index SET last_synced_at = '2020-05-01 00:00:00', updated_at = '2020-06-01 00:00:00' "
        "WHERE source_identifier = :name"
    )
    for modified_at, artist in ((1_589_500_800, "Edited"), (1_593_561_600, "A")):  # 2020-05-15, then 2020-07-01
        assert change(service, times, name=file) >= 3
        path.write_text(AFTER + f"9,{artist},,,\n")
        os.utime(path, (modified_at, modified_at))
        run = service.run("csv", file, {"conflictPolicy": "newest_wins"})
        assert run["conflicts"] >= 1
        assert run["errors"] == []
        assert stored(service, file)[0] == ("One", artist, "Pop")


def test_newest_wins_keeps_and_lists_an_edit_whose_time_is_not_known(service: Service, file: str) -> None:
    path = service.data_root / file
    path.write_text(AFTER)
    os.utime(path, (4_102_444_800, 4_102_444_800))
    run = service.run("csv", file, {"conflictPolicy": "newest_wins"})
    assert stored(service, file)[:2] == [("One", "Edited", "Pop"), ("Two", "Edited", "Metal")]
    assert (run["conflicts"], len(run["errors"])) == (2, 2)
    assert "updated_at" in run["errors"][0]["message"]


def test_a_row_that_both_sides_changed_alike_is_no_conflict(service: Service, file: str) -> None:
    run = sync(service, file, "report", BEFORE.replace("One,A", "One,Edited").replace("Two,B", "Two,Edited"))
    assert (run["ledger"]["unchanged"], run["conflicts"]) == (3, 0)


def test_a_column_that_both_sides_changed_is_one(service: Service, file: str) -> None:
    run = sync(service, file, "keep_local", BEFORE.replace("One,A", "One,Theirs"))
    assert run["conflicts"] == 2
    assert stored(service, file)[0] == ("One", "Edited", "Pop")


def test_the_columns_that_only_the_source_changed_are_taken(service: Service, file: str) -> None:
    content = BEFORE.replace("1,One,A,Pop", "1,Uno,Theirs,Folk")
    run = sync(service, file, "keep_local", content)
    assert stored(service, file)[0] == ("Uno", "Edited", "Folk")
    assert run["conflicts"] == 2
    sync(service, file, "keep_local", content.replace("Folk", "Jazz"))
    assert stored(service, file)[0] == ("Uno", "Edited", "Jazz")


def test_another_mapping_makes_no_conflict(service: Service) -> None:
    path = service.data_root / "mapping.csv"
    path.write_text("external_id,title,style\n1,One,Pop\n")
    service.run("csv", path.name)
    run = service.run("csv", path.name, {"conflictPolicy": "keep_local", "columnMapping": {"genre": "style"}})
    assert (run["ledger"]["updated"], run["conflicts"]) == (1, 0)
    assert stored(service, path.name) == [("One", None, "Pop")]


def test_an_edit_and_a_change_that_break_the_order_of_prices_together_leave_the_row_alone(service: Service) -> None:
    head = "category_id,capacity,capacity_gb,price,content_count,content_unit,max_price\n"
    path = service.data_root / "order.csv"
    options = {"targetTable": "catalog_items", "conflictPolicy": "keep_local"}
    path.write_text(head + "order,16GB,16,60000,3000,canciones,80000\n")
    assert service.run("csv", path.name, options)["ledger"]["inserted"] == 1
    change(service, "UPDATE catalog_items SET price = 70000.5 WHERE category_id = 'order'")
    path.write_text(head + "order,16GB,16,60000,3000,canciones,65000\n")
    run = service.run("csv", path.name, options)
    assert (run["ledger"]["updated"], run["ledger"]["skipped"], run["conflicts"]) == (0, 1, 1)
    assert "not be in order" in run["errors"][0]["message"]
    query = "SELECT price, max_price FROM catalog_items WHERE category_id = 'order'"
    assert [(float(low), float(high)) for low, high in select(service, query)] == [(70000.5, 80000)]


def test_prices_are_compared_as_numbers(service: Service) -> None:
    head = "category_id,capacity,capacity_gb,price,content_count,content_unit\n"
    path = service.data_root / "conflict-prices.csv"
    path.write_text(head + "conflict,16GB,16,69900,3000,canciones\nconflict,32GB,32,79900.5,5000,canciones\n")
    options = {"targetTable": "catalog_items", "conflictPolicy": "keep_local"}
    assert service.run("csv", path.name, options)["ledger"]["inserted"] == 2
    change(service, "UPDATE catalog_items SET price = 75000 WHERE category_id = 'conflict' AND capacity = '16GB'")
    path.write_text(head + "conflict,16GB,16,69900,3100,canciones\nconflict,32GB,32,81000,5000,canciones\n")
    run = service.run("csv", path.name, options)
    assert (run["ledger"]["updated"], run["conflicts"]) == (2, 1)
    query = "SELECT price, content_count FROM catalog_items WHERE category_id = 'conflict' ORDER BY capacity"
    assert [(float(price), count) for price, count in select(service, query)] == [(75000, 3100), (81000, 5000)]


def test_a_row_that_was_never_synced_has_no_conflict(service: Service) -> None:
    path = service.data_root / "adopted.csv"
    change(
        service,
        "INSERT INTO content_index (content_type, title, artist, source_type, source_identifier, external_id) "
        "VALUES ('music', 'Theirs', 'Bot', 'csv', 'adopted.csv', '1')",
    )
    path.write_text("external_id,title,artist\n1,Ours,File\n")
    run = service.run("csv", path.name, {"conflictPolicy": "keep_local"})
    assert (run["ledger"]["updated"], run["conflicts"]) == (1, 0)
