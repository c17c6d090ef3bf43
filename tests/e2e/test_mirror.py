"""Mode mirror: rows that the source has no more are switched off, under guards, and on again when they come back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.items_api import items_api
from tests.support.seen import change, select
from tests.support.service import Service

HEAD = "external_id,title\n"
MIRROR = {"mode": "mirror"}


@pytest.fixture
def file(service: Service, request: pytest.FixtureRequest) -> str:
    """A file of ten rows that was synced."""
    name = f"{request.node.name.split('[')[0]}.csv"
    put(service, name, range(10))
    run = service.run("csv", name, MIRROR)
    assert (run["ledger"]["inserted"], run["deactivated"]) == (10, 0)
    return name


def put(service: Service, name: str, numbers: Any, extra: str = "") -> None:
    (service.data_root / name).write_text(HEAD + "".join(f"{n},Title {n}\n" for n in numbers) + extra)


def available(service: Service, name: str) -> list[str]:
    query = (
        "SELECT external_id FROM content_index WHERE source_identifier = :name AND is_available = 1 "
        "ORDER BY LENGTH(external_id), external_id"
    )
    return [external_id for (external_id,) in select(service, query, name=name)]


def test_what_is_gone_is_switched_off_and_on_again_when_it_comes_back(service: Service, file: str) -> None:
    put(service, file, range(8))
    run = service.run("csv", file, MIRROR)
    assert (run["status"], run["ledger"]["unchanged"], run["deactivated"]) == ("completed", 8, 2)
    assert available(service, file) == [str(n) for n in range(8)]
    put(service, file, range(9))
    back = service.run("csv", file, MIRROR)
    assert (back["ledger"]["updated"], back["ledger"]["unchanged"], back["deactivated"]) == (1, 8, 0)
    assert available(service, file) == [str(n) for n in range(9)]


def test_what_a_person_switched_off_stays_off(service: Service, file: str) -> None:
    off = "UPDATE content_index SET is_available = 0 WHERE source_identifier = :name AND external_id = '3'"
    assert change(service, off, name=file) == 1
    put(service, file, range(11))
    assert service.run("csv", file, MIRROR)["ledger"]["inserted"] == 1
    assert "3" not in available(service, file)


def test_upsert_switches_nothing_off(service: Service, file: str) -> None:
    put(service, file, range(2))
    assert service.run("csv", file)["deactivated"] == 0
    assert len(available(service, file)) == 10


def test_too_many_gone_rows_stop_the_run_before_anything_is_switched_off(service: Service, file: str) -> None:
    put(service, file, range(7))
    run = service.run("csv", file, MIRROR)
    assert (run["status"], run["failure"]["reason"]) == ("failed", "MIRROR_GUARD")
    assert run["failure"]["retryable"] is False
    assert "3 of 10" in run["failure"]["message"]
    assert len(available(service, file)) == 10
    allowed = service.run("csv", file, MIRROR | {"mirrorGoneRatioMax": 0.3})
    assert (allowed["status"], allowed["deactivated"]) == ("completed", 3)


def test_new_rows_do_not_make_what_is_gone_look_like_less(service: Service, file: str) -> None:
    put(service, file, range(1000, 1041))
    run = service.run("csv", file, MIRROR)
    assert (run["status"], run["failure"]["reason"]) == ("failed", "MIRROR_GUARD")
    assert "10 of 10" in run["failure"]["message"]
    assert len(available(service, file)) == 51
    # Nor do the rows that the failed run has left, when it was long ago that the source completed one.
    is_sqlite = "sqlite" in service.environ["TECHAURA_SYNC_DATABASE_URL"]
    moment = "datetime('now', '-1 hours')" if is_sqlite else "NOW() - INTERVAL 1 HOUR"
    of_file = "WHERE source_identifier = :name"
    change(service, f"UPDATE sync_runs SET completed_at = {moment} {of_file} AND status = 'completed'", name=file)
    change(service, f"UPDATE content_index SET created_at = {moment} {of_file} AND LENGTH(external_id) = 1", name=file)
    put(service, file, range(1000, 1042))
    assert service.run("csv", file, MIRROR)["failure"]["reason"] == "MIRROR_GUARD"
    allowed = service.run("csv", file, MIRROR | {"mirrorGoneRatioMax": 1.0})
    assert (allowed["status"], allowed["deactivated"]) == ("completed", 10)


def test_an_empty_source_switches_nothing_off_unless_the_request_allows_it(service: Service, file: str) -> None:
    put(service, file, [])
    run = service.run("csv", file, MIRROR | {"mirrorGoneRatioMax": 1.0})
    assert (run["status"], run["failure"]["reason"]) == ("failed", "MIRROR_GUARD")
    assert len(available(service, file)) == 10
    allowed = service.run("csv", file, MIRROR | {"mirrorAllowEmpty": True})
    assert (allowed["status"], allowed["deactivated"]) == ("completed", 10)


def test_a_rejected_record_may_be_the_missing_row_so_nothing_is_switched_off(service: Service, file: str) -> None:
    put(service, file, range(1, 10), extra='10,Ten\n11,Eleven\n12,"un"closed\n')
    run = service.run("csv", file, MIRROR)
    assert (run["status"], run["ledger"]["rejected"], run["deactivated"]) == ("completed", 1, 0)
    assert any("nothing was switched off" in notice for notice in run["notices"])
    assert "0" in available(service, file)


def test_a_value_that_holds_records_may_hold_the_missing_row_so_nothing_is_switched_off(
    service: Service, file: str
) -> None:
    put(service, file, range(1, 8), extra='8,"Eight\n0,Zero\n9,Nine\n10,Ten"\n')
    run = service.run("csv", file, MIRROR)
    assert (run["status"], run["ledger"]["rejected"], run["deactivated"]) == ("completed", 0, 0)
    assert any("nothing was switched off" in notice and "is a quote missing" in notice for notice in run["notices"])
    assert "0" in available(service, file)


def test_rows_of_other_sources_are_left_alone(service: Service, file: str) -> None:
    other = f"other-{file}"
    put(service, other, range(5))
    service.run("csv", other, MIRROR)
    put(service, file, range(9))
    assert service.run("csv", file, MIRROR)["deactivated"] == 1
    assert len(available(service, other)) == 5


def test_catalog_items_are_switched_off_with_a_line_in_the_change_log(service: Service) -> None:
    # A mirror of the catalogue is the whole catalogue.
    change(service, "DELETE FROM catalog_items")
    head = "category_id,capacity,capacity_gb,price,content_count,content_unit\n"
    path = service.data_root / "mirror-prices.csv"
    lines = [f"mirror,{n}GB,{n},69900,{n}000,canciones\n" for n in (8, 16, 32, 64, 128, 256)]
    options = MIRROR | {"targetTable": "catalog_items"}
    for content, deactivated in ((lines, 0), (lines[:5], 1), (lines, 0)):
        path.write_text(head + "".join(content))
        run = service.run("csv", path.name, options)
        assert (run["status"], run["deactivated"]) == ("completed", deactivated), run
    log = "SELECT action, field_changed, old_value, new_value FROM catalog_change_log WHERE capacity = '256GB' ORDER BY id"
    assert select(service, log) == [
        ("create", None, None, None), ("deactivate", "is_active", "1", "0"), ("activate", "is_active", "0", "1"),
    ]  # fmt: skip
    assert select(service, "SELECT COUNT(*) FROM catalog_items WHERE is_active = 1") == [(6,)]


def test_a_mirrored_api_switches_off_what_it_no_longer_answers(service: Service) -> None:
    options: dict[str, Any] = MIRROR | {
        "pagination": {"enabled": True, "type": "page"},
        "auth": {"type": "bearer", "token": "t0ken"},
        "fieldMapping": {"title": "name"},
        "mirrorGoneRatioMax": 0.5,
    }
    with items_api(count=250) as api:
        assert service.run("api", api.url, options)["ledger"]["inserted"] == 250
        api.count = 150
        run = service.run("api", api.url, options)
        assert (run["status"], run["deactivated"]) == ("completed", 100), run
        refused = service.post(
            "/v1/sync/trigger",
            {
                "sourceType": "api",
                "sourceIdentifier": api.url,
                "options": options | {"pagination": {"enabled": True, "maxPages": 1}},
            },
        )
        assert refused[0] == 400
        assert "maxPages" in refused[1]["error"]
    kept = "SELECT COUNT(*) FROM sync_seen_rows s JOIN sync_runs r ON r.id = s.sync_run_id WHERE r.status = 'completed'"
    assert select(service, kept) == [(0,)]
