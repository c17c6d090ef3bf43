"""A source that is the same as when it was last synced: unchanged at once, and only when that is true."""

from __future__ import annotations

import os

import pytest

from tests.support.seen import change, select
from tests.support.service import Service

CONTENT = "external_id,title\n1,One\n2,Two\n3,Three\n"


@pytest.fixture
def file(service: Service, request: pytest.FixtureRequest) -> str:
    """A file that was synced."""
    name = f"{request.node.name.split('[')[0]}.csv"
    (service.data_root / name).write_text(CONTENT)
    assert service.run("csv", name)["ledger"]["inserted"] == 3
    return name


def test_an_untouched_file_is_unchanged_at_once(service: Service, file: str) -> None:
    run = service.run("csv", file)
    assert (run["status"], run["ledger"]["rowsRead"], run["ledger"]["unchanged"]) == ("completed", 3, 3)
    assert run["sameAsSyncRunId"] == run["syncRunId"] - 1
    assert any("nothing was written again" in notice for notice in run["notices"])
    # A repetition refers to the run that read the source, however many there are.
    assert service.run("csv", file)["sameAsSyncRunId"] == run["syncRunId"] - 1


def test_a_touched_or_copied_file_is_known_by_its_content(service: Service, file: str) -> None:
    path = service.data_root / file
    os.utime(path, (1, 1))
    assert service.run("csv", file)["sameAsSyncRunId"] is not None
    copy = path.with_suffix(".new")
    copy.write_text(CONTENT)
    copy.replace(path)
    assert service.run("csv", file)["sameAsSyncRunId"] is not None


def test_a_file_of_the_same_size_with_other_content_is_read(service: Service, file: str) -> None:
    path = service.data_root / file
    path.write_text(CONTENT.replace("Two", "Duo"))
    run = service.run("csv", file)
    assert (run["ledger"]["updated"], run["ledger"]["unchanged"], run["sameAsSyncRunId"]) == (1, 2, None)


def test_a_change_in_place_with_its_time_set_back_is_read(service: Service) -> None:
    path = service.data_root / "in-place.csv"
    path.write_text("external_id,title\n" + "".join(f"{n},Title {n:06d}\n" for n in range(20_000)))
    service.run("csv", path.name)
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(before.st_size // 2)
        at = stream.read(4096).index(b"Title")
        stream.seek(before.st_size // 2 + at)
        stream.write(b"Novum")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    run = service.run("csv", path.name)
    assert (run["ledger"]["updated"], run["sameAsSyncRunId"]) == (1, None)


def test_a_table_that_sources_share_is_always_compared(service: Service) -> None:
    head = "category_id,capacity,capacity_gb,price,content_count,content_unit\n"
    for name, price in (("shared-a.csv", 100), ("shared-b.csv", 200), ("shared-a.csv", 100)):
        (service.data_root / name).write_text(head + f"shared,8GB,8,{price},3000,canciones\n")
        assert service.run("csv", name, {"targetTable": "catalog_items"})["status"] == "completed"
        found = select(service, "SELECT price FROM catalog_items WHERE category_id = 'shared'")
        assert [float(value) for (value,) in found] == [price]


def test_another_spelling_of_a_file_is_the_same_source(service: Service, file: str) -> None:
    for spelling in (f"./{file}", str(service.data_root / file)):
        assert service.run("csv", spelling)["ledger"]["unchanged"] == 3
    (service.data_root / file).write_text(CONTENT + "4,Four\n")
    assert service.run("csv", f"./{file}")["ledger"]["inserted"] == 1
    query = "SELECT COUNT(*), COUNT(DISTINCT source_identifier) FROM content_index WHERE source_identifier LIKE :name"
    assert select(service, query, name=f"%{file}") == [(4, 1)]


def test_other_options_are_another_sync(service: Service, file: str) -> None:
    assert service.run("csv", file, {"contentType": "video"})["ledger"]["updated"] == 3
    # And the first options are, after that, another sync again.
    assert service.run("csv", file)["ledger"]["updated"] == 3


def test_rows_that_went_missing_in_the_table_are_written_again(service: Service, file: str) -> None:
    assert change(service, "DELETE FROM content_index WHERE source_identifier = :name", name=file) == 3
    assert service.run("csv", file)["ledger"]["inserted"] == 3


def test_rejected_rows_are_listed_again(service: Service) -> None:
    path = service.data_root / "rejected.csv"
    path.write_text("external_id,title\n" + "".join(f"{n},Title\n" for n in range(20)) + "too,many,fields\n")
    for _ in range(2):
        run = service.run("csv", path.name)
        assert (run["ledger"]["rowsRead"], run["ledger"]["rejected"], run["sameAsSyncRunId"]) == (21, 1, None)


def test_every_row_is_refreshed_at_least_once_a_day(service: Service, file: str) -> None:
    is_sqlite = "sqlite" in service.environ["TECHAURA_SYNC_DATABASE_URL"]
    moment = "datetime('now', '-13 hours')" if is_sqlite else "NOW() - INTERVAL 13 HOUR"
    change(service, f"UPDATE sync_runs SET completed_at = {moment} WHERE source_identifier = :name", name=file)
    change(service, f"UPDATE content_index SET last_synced_at = {moment} WHERE source_identifier = :name", name=file)
    run = service.run("csv", file)
    assert (run["ledger"]["unchanged"], run["sameAsSyncRunId"]) == (3, None)
    recent = moment.replace("13", "1")
    query = f"SELECT COUNT(*) FROM content_index WHERE source_identifier = :name AND last_synced_at > {recent}"
    assert select(service, query, name=file) == [(3,)]
