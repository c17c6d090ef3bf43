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
