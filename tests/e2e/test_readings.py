"""What a test proposes for a file that does not fit, sent to a run as it is: over REST, gRPC and the command line."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from techaura_sync import SyncClient, SyncServiceError, sync_spec

from tests.e2e.test_csv_to_table import rows
from tests.support.programs import run
from tests.support.service import Service

SONGS = [(f"Canción {number}", f"Niño {number}", "Salsa") for number in range(12)]
PRICES = "category_id;capacity;capacity_gb;price;content_count;content_unit\n"
OFFICE = "Catálogo TechAura 2026\nTítulo;Artista;Género\n" + "".join(";".join(song) + "\n" for song in SONGS)
# In cp1252 a dash, in Mac Roman a letter.
DOUBTFUL = b"title,artist\n" + b"".join(b"Song %d,X\n" % number for number in range(7)) + b"Uno \x96 Dos,Y\n"


def put(service: Service, name: str, content: bytes) -> str:
    (service.data_root / name).write_bytes(content)
    return name


def look(service: Service, name: str, options: object = None) -> tuple[int, dict[str, Any]]:
    body = {"sourceType": "csv", "sourceIdentifier": name, "options": options or {}}
    return service.post("/v1/sync/test", body)


def songs(service: Service, name: str) -> list[Any]:
    query = "SELECT title, artist, genre FROM content_index WHERE source_identifier = :name ORDER BY id"
    return rows(service, query, name=name)


def test_an_office_export_is_loaded_with_what_is_proposed(service: Service) -> None:
    name = put(service, "oficina.csv", OFFICE.encode("cp1252"))
    status, answer = look(service, name)
    assert (status, answer["success"], answer["field"]) == (400, False, "options.encoding")
    refused = service.post("/v1/sync/trigger", {"sourceType": "csv", "sourceIdentifier": name})
    assert {key: answer[key] for key in refused[1]} == refused[1]
    found = answer["data"]
    assert found["proposedOptions"] == {
        "delimiter": ";", "encoding": "cp1252", "preambleLines": 1,
        "columnMapping": {"title": "Título", "artist": "Artista", "genre": "Género"},
    }  # fmt: skip
    (reading,) = found["readings"]
    assert reading["fields"] == ["Título", "Artista", "Género"]
    assert [record["sample"]["Título"] for record in reading["records"]] == [song[0] for song in SONGS[:5]]
    assert (reading["itemCount"], reading["rejectedCount"], reading["records"][0]["line"]) == (12, 0, 3)
    done = service.run("csv", name, found["proposedOptions"])
    assert (done["status"], done["notices"], songs(service, name)) == ("completed", [], SONGS)


def test_a_price_that_may_be_two_numbers_is_left_to_a_person(service: Service) -> None:
    name = put(service, "precios.csv", (PRICES + "doubt;16GB;16;69.900;3000;canciones\n").encode())
    status, answer = look(service, name, {"delimiter": ";", "targetTable": "catalog_items"})
    assert status == 200, answer
    found = answer["data"]
    assert [one["code"] for one in found["rejected"]] == ["out_of_range"]
    assert found["proposedOptions"] is None
    assert "'69.900' in 'price' may be 69900 or 69.9" in found["findings"][0]
    (reading,) = found["readings"]
    assert (reading["records"][0]["sample"]["price"], reading["records"][0]["row"]["price"]) == ("69.900", "69900.00")
    assert service.run("csv", name, reading["options"])["status"] == "completed"
    stored = rows(service, "SELECT price FROM catalog_items WHERE category_id = 'doubt'")
    assert [f"{price:.2f}" for (price,) in stored] == ["69900.00"]


@pytest.mark.parametrize("options", [{}, {"encoding": "auto"}])
def test_encodings_that_make_equal_sense_stand_side_by_side(service: Service, options: dict[str, str]) -> None:
    name = put(service, f"duda-{len(options)}.csv", DOUBTFUL)
    status, answer = look(service, name, options)
    found = answer["data"]
    assert (status, found["proposedOptions"]) == (200, None)
    assert "make as much sense in" in found["findings"][0]
    by_encoding = {one["options"]["encoding"]: one for one in found["readings"]}
    meant = {"cp1252": "Uno – Dos", "mac-roman": "Uno ñ Dos"}
    assert meant.keys() <= by_encoding.keys()
    for encoding, title in meant.items():
        # Of eight records the one is shown in which they differ.
        assert [(one["line"], one["row"]["title"]) for one in by_encoding[encoding]["records"]] == [(9, title)]
        assert service.run("csv", name, by_encoding[encoding]["options"])["ledger"]["rejected"] == 0
        assert title in [song[0] for song in songs(service, name)]


def test_a_reading_is_triggered_over_grpc_as_it_comes(service: Service) -> None:
    name = put(service, "tabla.csv", b'title\tartist\tgenre\n"El ""Rey"""\tJose\tSalsa\n"A\tB"\tC\tD\n')
    with SyncClient(service.grpc_target) as client:
        with pytest.raises(SyncServiceError, match=r"set options.delimiter to '\\t'"):
            client.test_source(sync_spec("csv", name))
        found = client.test_source(sync_spec("csv", name), answer_refusal=True)
        assert (found.refusal.reason, found.refusal.field) == ("INVALID_OPTION", "options.delimiter")
        assert found.proposed == found.readings[0].spec
        assert json.loads(found.readings[0].records[1].sample)["title"] == "A\\tB"
        *_, last = client.trigger(found.proposed)
    assert last.progress.ledger.inserted == 2
    assert songs(service, name) == [('El "Rey"', "Jose", "Salsa"), ("A\tB", "C", "D")]


def test_a_file_that_nothing_fits_is_told_so(service: Service) -> None:
    name = put(service, "nada.csv", b"x;y\n1;2\n3;4\n")
    status, answer = look(service, name)
    assert (status, answer["reason"]) == (400, "INVALID_MAPPING")
    assert (answer["data"]["readings"], answer["data"]["proposedOptions"]) == ([], None)
    assert "none is proposed" in answer["data"]["findings"][0]
    done = run("techaura-sync", "--target", service.grpc_target, "test", "csv", name)
    assert done.returncode == 2
    assert "none is proposed" in " ".join(done.stdout.split())


def test_the_command_that_is_printed_loads_the_file(service: Service) -> None:
    name = put(service, "office's list.csv", OFFICE.encode("cp1252"))
    base = ["techaura-sync", "--target", service.grpc_target]
    done = run(*base, "test", "csv", name)
    assert (done.returncode, max(map(len, done.stdout.splitlines())) <= 80) == (2, True), done.stdout
    assert "reading 1 (proposed)" in done.stdout
    assert "title: Canción 4" in done.stdout
    assert "[INVALID_OPTION]" in done.stderr
    printed = done.stdout.split("to load reading 1:\n")[1]
    words = shlex.split(printed.replace("\\\n", " "))
    assert words[:3] == ["techaura-sync", "trigger", "csv"]
    loaded = run(*base, *words[1:], "--watch")
    assert loaded.returncode == 0, loaded.stderr
    assert songs(service, name) == SONGS
    as_json = json.loads(run(*base, "--json", "test", "csv", name).stdout)
    assert as_json["refusal"]["field"] == "options.encoding"
    assert shlex.split(as_json["readings"][0]["command"]) == words


def test_two_readings_are_printed_side_by_side(service: Service) -> None:
    name = put(service, "lado.csv", DOUBTFUL)
    done = run("techaura-sync", "--target", service.grpc_target, "test", "csv", name)
    assert done.returncode == 0, done.stderr
    beside = [line for line in done.stdout.splitlines() if "Uno – Dos" in line]
    assert len(beside) == 1
    assert "Uno ñ Dos" in beside[0]
