"""CSV files as people have them, through the running service and the real command: stored rows, and what is said.

Values, names of columns, why rows are missing, and the command line. The kinds are those of public reports; beside the reported
example each has forms that were reported by nobody.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.support.programs import run
from tests.support.service import Service

HEADER = "category_id,capacity,capacity_gb,price,content_count,content_unit\n"
ITEMS = {"targetTable": "catalog_items"}
SONGS = "".join(f"Song {n},Artist {n},Salsa\n" for n in range(1, 13))


@pytest.fixture
def put(service: Service, request: pytest.FixtureRequest) -> Any:
    """Write a file of the test's own; answers its name, which no other test has."""
    number = iter(range(100))

    def write(content: str | bytes) -> str:
        name = f"{zlib.crc32(request.node.nodeid.encode())}-{next(number)}.csv"
        (service.data_root / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return write


def songs(service: Service, name: str) -> list[Any]:
    query = "SELECT title, artist, genre FROM content_index WHERE source_identifier = :name ORDER BY id"
    return rows(service, query, name=name)


def items(service: Service, category: str) -> list[Any]:
    query = "SELECT capacity_gb, price, content_count FROM catalog_items WHERE category_id = :category ORDER BY id"
    return [(gb, f"{price:.2f}", count) for gb, price, count in rows(service, query, category=category)]


def rejects(service: Service, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The rejected rows of a run, first line first."""
    answer = service.get(f"/v1/sync/{found['syncRunId']}/errors")[1]["data"]
    return sorted((error for error in answer if error["line"] is not None), key=lambda error: error["line"])


def look(service: Service, name: str, options: object) -> dict[str, Any]:
    """What a test of the file says."""
    body = {"sourceType": "csv", "sourceIdentifier": name, "options": options}
    status, answer = service.post("/v1/sync/test", body)
    assert status == 200, answer
    data: dict[str, Any] = answer["data"]
    return data


def command(service: Service, *arguments: str) -> Any:
    return run("techaura-sync", "--target", service.grpc_target, *arguments)


@pytest.mark.parametrize("price", ["69.900", "129.950", "69.995", "1.000"])
def test_a_thousands_point_is_no_fraction(service: Service, put: Any, price: str) -> None:
    category = f"point {price}"
    name = put((HEADER + f"{category},16GB,16,{price},3000,canciones\n").replace(",", ";"))
    options = ITEMS | {"delimiter": ";"}
    found = service.run("csv", name, options)
    (reject,) = rejects(service, found)
    assert (reject["line"], reject["code"], reject["column"]) == (2, "out_of_range", "price")
    assert "may mean thousands" in reject["message"]
    assert "set options.decimalComma to true" in reject["message"]
    assert look(service, name, options)["rejected"][0]["message"] == reject["message"]
    assert items(service, category) == []
    assert service.run("csv", name, options | {"decimalComma": True})["status"] == "completed"
    assert items(service, category) == [(16, f"{price.replace('.', '')}.00", 3000)]


# Places of Windows-1252 that hold no character.
EMPTY_PLACES = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})


def test_a_count_with_a_thousands_point_is_rejected_and_read_with_the_option(service: Service, put: Any) -> None:
    name = put((HEADER + "count,1GB,1,69900,3.000,u\n").replace(",", ";"))
    found = service.run("csv", name, ITEMS | {"delimiter": ";"})
    (reject,) = rejects(service, found)
    assert (reject["code"], reject["column"]) == ("bad_cast", "content_count")
    assert "set options.decimalComma to true" in reject["message"]
    assert "set options.decimalComma to true" in found["failure"]["message"]
    service.run("csv", name, ITEMS | {"delimiter": ";", "decimalComma": True})
    assert items(service, "count") == [(1, "69900.00", 3000)]


def test_whole_numbers_that_are_written_with_zeros_behind_the_point(service: Service, put: Any) -> None:
    found = service.run("csv", put(HEADER + "zeros,16GB,16.0,69900.0,3000.00,canciones\n"), ITEMS)
    assert (found["status"], items(service, "zeros")) == ("completed", [(16, "69900.00", 3000)])


@pytest.mark.parametrize(
    ("price", "decimal_comma", "words"),
    [
        ("$ 69.900", True, ["69.900,50", "no currency", 'set options.numberFormat.currency to ["$"]']),
        ("$ 69.900", False, ["69900.50", "no grouping", "set options.decimalComma to true"]),
        ("1\u00a0299\u00a0900", False, ["69900.50", 'set options.numberFormat.grouping to " " to read it as 1299900']),
        ("abc", False, ["69900.50"]),
    ],
)
def test_a_number_that_is_not_read_is_told_the_form_that_is(
    service: Service, put: Any, price: str, decimal_comma: bool, words: list[str]
) -> None:
    found = service.run("csv", put(HEADER + f"a,1GB,1,{price},10,u\n"), ITEMS | {"decimalComma": decimal_comma})
    (reject,) = rejects(service, found)
    assert (reject["line"], reject["code"], reject["column"]) == (2, "bad_cast", "price")
    assert [word for word in words if word not in reject["message"]] == []


@pytest.mark.parametrize("header", ["title,\u200bartist,genre", "\u2060title,art\u00adist\ufeff,gen\u200dre"])
def test_names_are_found_whatever_invisible_characters_they_hold(service: Service, put: Any, header: str) -> None:
    name = put(f"{header}\n{SONGS}")
    found = service.run("csv", name, {})
    assert (found["status"], found["notices"]) == ("completed", [])
    assert songs(service, name) == [(f"Song {n}", f"Artist {n}", "Salsa") for n in range(1, 13)]
    query = "SELECT DISTINCT metadata FROM content_index WHERE source_identifier = :name"
    assert rows(service, query, name=name) in ([(None,)], [("null",)])


def test_columns_that_meet_nothing_are_told_by_run_and_test(service: Service, put: Any) -> None:
    name = put("title,Artista,Género\nA,B,C\n")
    found = service.run("csv", name, {})
    (notice,) = found["notices"]
    assert [word for word in ("'artist'", "'genre'", "'Artista'", "'Género'") if word not in notice] == []
    assert look(service, name, {})["notices"] == [notice]
    assert (found["status"], songs(service, name)) == ("completed", [("A", None, None)])
    mapped = {"columnMapping": {"artist": "Artista", "genre": "Género"}}
    assert service.run("csv", name, mapped)["notices"] == []


def test_a_name_that_stands_twice_is_told_by_that_name(service: Service, put: Any) -> None:
    name = put("title,artist,genre,genre\nA,B,Rock,Pop\n")
    found = service.run("csv", name, {})
    assert any("'genre' stands twice in the header (columns 3 and 4" in notice for notice in found["notices"])
    assert look(service, name, {})["notices"] == found["notices"]
    assert songs(service, name) == [("A", "B", None)]
    body = {"sourceType": "csv", "sourceIdentifier": put("title,title,genre\nA,B,Rock\n"), "options": {}}
    status, answer = service.post("/v1/sync/trigger", body)
    assert (status, answer["reason"]) == (400, "INVALID_MAPPING")
    assert "'title' stands twice in the header (columns 1 and 2" in answer["error"]
    assert "set options.columnMapping.title to one of them" in answer["error"]


def test_ids_that_a_spreadsheet_shortened_are_told_with_what_they_cost(service: Service, put: Any) -> None:
    name = put("external_id,title,artist\n" + "".join(f"7.70212E+12,Song {n},A\n" for n in range(100)))
    found = service.run("csv", name, {})
    assert (found["status"], found["ledger"]["skipped"]) == ("completed", 99)
    skipped, shortened = found["notices"]
    assert skipped.startswith("99 skipped of 100 rows: 99 duplicate_key, first on line 2")
    assert "'external_id' looks like numbers that a spreadsheet has shortened" in shortened
    assert shortened.split(", in ")[0] in look(service, name, {})["notices"][0]


def test_words_for_no_value_are_told_until_an_option_says_what_they_are(service: Service, put: Any) -> None:
    name = put("external_id,title,artist,genre\n1,A,Ana,\\N\n2,B,NULL,n/a\n3,None,NA,Rock\n4,Nullarbor,Nana,nancy\n")
    found = service.run("csv", name, {})
    artist, genre = found["notices"]
    assert artist.startswith("'artist' holds a word such as NULL or N/A in 1 row, first on line 3: it is stored")
    assert genre.startswith("'genre' holds a word such as NULL or N/A in 2 rows, first on line 2: it is stored")
    assert "options.nullTokens" in genre
    assert look(service, name, {})["notices"] == found["notices"]
    assert songs(service, name)[0] == ("A", "Ana", "\\N")
    told = service.run("csv", name, {"nullTokens": ["NULL", "n/a", "\\N"]})
    assert (told["notices"], songs(service, name)[1]) == ([], ("B", None, None))


@pytest.mark.parametrize("text", ["Canción de amor", "Ñandú", "Ánimo", "Ça", "“Sí” – 5 €", "Привет", "日本"])
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_text_that_was_decoded_twice_is_told(service: Service, put: Any, text: str, encoding: str) -> None:
    twice = "".join(bytes([byte]).decode(encoding if byte not in EMPTY_PLACES else "latin-1") for byte in text.encode())
    name = put(f"title,artist\nRight,Maná\n{twice},Juan\n")

    found = service.run("csv", name, {})

    (notice,) = found["notices"]
    assert notice.startswith("'title' looks as if UTF-8 had been decoded in another encoding")
    assert "in 1 row, first on line 3" in notice
    assert look(service, name, {})["notices"] == [notice]
    # Before Python and a caller see it, nothing is changed.
    assert (twice, "Juan", None) in songs(service, name)


def test_rows_of_utf_8_in_a_file_of_another_encoding_are_told(service: Service, put: Any) -> None:
    lines = ["Canción,Maná\n".encode("cp1252")] * 20 + ["Corazón,Juan\n".encode()]
    name = put(b"title,artist\n" + b"".join(lines))

    found = service.run("csv", name, {"encoding": "cp1252"})

    (notice,) = found["notices"]
    assert notice.startswith("'title' looks as if UTF-8 had been decoded in another encoding")
    assert "in 1 row, first on line 22" in notice


@pytest.mark.parametrize("text", ["MAÇÃ", "São João", "Ângela â", "AÇÃO – MAÇÃ”, É", "Œuvre Ÿ", "°C"])
def test_text_that_only_has_such_letters_is_not(service: Service, put: Any, text: str) -> None:
    assert service.run("csv", put(f'title,artist\n"{text}",A\n'), {})["notices"] == []


@pytest.mark.parametrize("skipped", [1, 3])
def test_few_repeated_keys_are_no_notice_and_many_are(service: Service, put: Any, skipped: int) -> None:
    keys = [*range(20 - skipped), *[0] * skipped]
    name = put("external_id,title,artist,genre\n" + "".join(f"{key},Song,A,B\n" for key in keys))
    found = service.run("csv", name, {})
    assert (found["status"], found["ledger"]["skipped"]) == ("completed", skipped)
    assert [notice.split(",")[0] for notice in found["notices"]] == (
        [] if skipped == 1 else [f"{skipped} skipped of 20 rows: {skipped} duplicate_key"]
    )


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["0", "1", *["2"] * 8], "a later row has the same key"),
        ([*"012345678", "7,7E+12"], "spreadsheet has shortened"),
    ],
)
def test_a_mirror_whose_reading_is_in_doubt_switches_nothing_off(
    service: Service, put: Any, keys: list[str], words: str
) -> None:
    options = {"mode": "mirror", "delimiter": ";"}
    name = put("external_id;title\n" + "".join(f"{n};Song {n}\n" for n in range(10)))
    assert service.run("csv", name, options)["ledger"]["inserted"] == 10
    (service.data_root / name).write_text("external_id;title\n" + "".join(f"{key};Song\n" for key in keys))
    found = service.run("csv", name, options)
    assert (found["status"], found["deactivated"]) == ("completed", 0)
    (notice,) = [one for one in found["notices"] if "nothing was switched off" in one]
    assert words in notice
    query = "SELECT COUNT(*) FROM content_index WHERE source_identifier = :name AND is_available = 1"
    assert rows(service, query, name=name)[0][0] >= 10


def test_a_mirror_whose_header_lacks_a_column_of_the_last_time_switches_nothing_off(service: Service, put: Any) -> None:
    options = {"mode": "mirror", "columnMapping": {"title": "Song"}, "columnAliases": {"genre": ["Kind"]}}
    name = put("external_id,Song,Kind\n" + "".join(f"{n},Song {n},Salsa\n" for n in range(20)))
    path = service.data_root / name
    assert service.run("csv", name, options)["ledger"]["inserted"] == 20
    fewer = "".join(f"{n},Song {n},Salsa\n" for n in range(19))
    for _ in range(2):
        path.write_text("external_id,Song,Kund\n" + fewer)
        found = service.run("csv", name, options)
        assert (found["status"], found["deactivated"]) == ("completed", 0)
        (notice,) = [one for one in found["notices"] if "nothing was switched off" in one]
        assert ("its header lacks 'Kind'" in notice, "options.mode upsert" in notice) == (True, True)
        fewer += "\n"
    path.write_text("external_id,Song,Kind\n" + fewer)
    assert service.run("csv", name, options)["deactivated"] == 1


def test_a_header_that_an_upsert_has_accepted_is_no_doubt(service: Service, put: Any) -> None:
    name = put("external_id,title,genre\n" + "".join(f"{n},Song {n},Salsa\n" for n in range(20)))
    path = service.data_root / name
    service.run("csv", name, {"mode": "mirror"})
    path.write_text("external_id,title\n" + "".join(f"{n},Song {n}\n" for n in range(19)))
    service.run("csv", name, {})
    path.write_text("external_id,title\n" + "".join(f"{n},Song {n}\n" for n in range(18)))

    found = service.run("csv", name, {"mode": "mirror"})

    assert (found["status"], found["deactivated"]) == ("completed", 2)


def test_a_failed_run_says_why_in_its_own_line(service: Service, put: Any) -> None:
    name = put("title,artist,genre\nCanción,Maná,Rock\n".encode("cp1252"))
    shown = command(service, "trigger", "csv", name, "--watch")
    assert shown.returncode == 1
    why = next(line for line in shown.stdout.splitlines() if "rows were rejected" in line)
    assert why.startswith("1 of 1 rows were rejected: 1 bad_encoding, first on line 2; ")
    assert "options.encoding" in why
    assert "cp1252" in why


def test_a_failure_counts_the_commonest_kinds_each_with_its_first_line(service: Service, put: Any) -> None:
    table = "why,1GB,1,1,1,u\n" + "why,2GB,x,1,1,u\n" + "why,3GB,1,69.900,1,u\n" * 3 + "why,4GB,1,1\n" * 2
    found = service.run("csv", put(HEADER + table), ITEMS)
    message = found["failure"]["message"]
    assert message.startswith(
        "6 of 7 rows were rejected: 3 out_of_range, first on line 4, 2 missing_columns, first on line 7, "
        "1 bad_cast, first on line 3; "
    )
    assert "set options.decimalComma to true" in message
    assert (found["ledger"]["rowsRead"], found["ledger"]["rejected"]) == (7, 6)


def test_counts_of_a_run_cover_all_its_batches(service: Service, put: Any) -> None:
    """More rejects than are stored, and batches that are written at once, change nothing about the counts."""
    bad = "m,{n},x,1,1,u\n"
    name = put(HEADER + "".join(bad.format(n=n) for n in range(30_000)))
    message = service.run("csv", name, ITEMS)["failure"]["message"]
    count = message.split(" of ")[0]
    assert int(count) > 1000
    assert f"rows were rejected: {count} bad_cast, first on line 2" in message


def test_json_is_told_apart(service: Service, put: Any) -> None:
    """What is printed with --json is the same text, and JSON."""
    shown = command(service, "--json", "test", "csv", put("title,Artista\nA,B\n"))
    assert "'Artista'" in json.loads(shown.stdout)["notices"][0]


def test_brackets_in_a_name_are_no_markup(service: Service, put: Any) -> None:
    table = "category_id,capacity,capacity_gb,Precio,Cantidad [/u],content_unit\nm,1GB,1,abc,10,u\nm,2GB,1,100,x,u\n"
    options = ITEMS | {"columnMapping": {"price": "Precio", "content_count": "Cantidad [/u]"}}
    found = service.run("csv", put(table), options)
    listed = command(service, "errors", str(found["syncRunId"]))
    assert (listed.returncode, "Cantidad [/u]" in listed.stdout) == (0, True), listed.stderr
    status = command(service, "status", str(found["syncRunId"]))
    assert (status.returncode, "2 of 2 rows were rejected" in status.stdout) == (0, True)


@pytest.mark.parametrize("columns", ["\x1b[31mtit\x1b[0mle,\x1b]0;pwned\x07artist", "\x9b31mx,\x7fy,\u202ez"])
def test_no_control_character_of_a_file_reaches_the_terminal(service: Service, put: Any, columns: str) -> None:
    name = put(f"{columns}\nA,B\n")
    for asked in (
        ["trigger"],
        ["test"],
        ["--json", "test"],
        ["trigger", "--map", "title=\x1b[31mtit\x1b[0mle", "--watch"],
    ):
        before, after = (asked[:1], asked[1:]) if asked[0] == "--json" else ([], asked)
        shown = command(service, *before, after[0], "csv", name, *after[1:])
        said = shown.stdout + shown.stderr
        assert [char for char in said if char != "\n" and ord(char) in {*range(32), *range(0x7F, 0xA0), 0x202E}] == []
    refused = command(service, "trigger", "csv", name)
    assert refused.returncode != 0
    assert [
        escape
        for escape in ("\x1b", "\x07", "\x9b", "\x7f")
        if escape in columns and repr(escape)[1:-1] not in refused.stderr
    ] == []


def test_the_advice_can_be_followed_on_the_command_line(service: Service, put: Any) -> None:
    name = put((HEADER + "advice,1GB,1,69.900,3.000,u\n").replace(",", ";"))
    asked = ["csv", name, "--table", "catalog_items", "--delimiter", ";", "--decimal-comma"]
    looked = command(service, "test", *asked)
    assert (looked.returncode, "price='69900.00'" in looked.stdout) == (0, True), looked.stdout
    shown = command(service, "trigger", *asked, "--watch")
    assert (shown.returncode, items(service, "advice")) == (0, [(1, "69900.00", 3000)]), shown.stdout


def test_flags_do_what_their_options_do(service: Service, put: Any) -> None:
    name = put('report\n\ntitle;artist;genre\n"A" x;n/a;"Rock"\nB;C\n')
    asked = ["--preamble-lines", "2", "--stray-quotes", "keep", "--missing-fields", "empty", "--null-tokens", "n/a"]
    shown = command(service, "trigger", "csv", name, "--delimiter", ";", *asked, "--content-type", "video", "--watch")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert songs(service, name) == [('"A" x', None, "Rock"), ("B", "C", None)]
