"""Secrets in option documents: sealed once, opened where allowed, shown nowhere."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.core.errors import FatalError
from server.core.host_patterns import HostPatterns
from server.core.secret_box import SecretBox, SecretPlaces, SecretValue, load_or_create_key

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
HOST = "api.example.com"
URL = f"https://{HOST}/items?page=1"
TRUSTED = HostPatterns.parse("trusted.example")
TRUSTED_URL = "https://trusted.example/"
PLACES = SecretPlaces(
    values=("auth.token", "auth.password", "top"), maps=("headers",), public_names=frozenset({"accept"})
)
CANARY = "canary-9d21"


@pytest.fixture
def box() -> SecretBox:
    return SecretBox(KEY)


def test_a_sealed_secret_comes_back(box):
    sealed = box.seal({"auth": {"type": "bearer", "token": CANARY}, "dataPath": "x"}, PLACES)
    assert CANARY not in json.dumps(sealed)
    assert (sealed["auth"]["type"], sealed["dataPath"]) == ("bearer", "x")
    assert box.reveal(SecretValue.parse(sealed["auth"]["token"]), URL, {}) == CANARY


def test_the_document_itself_is_not_changed(box):
    document = {"auth": {"token": CANARY}}
    box.seal(document, PLACES)
    assert document == {"auth": {"token": CANARY}}


def test_header_values_are_sealed_except_public_ones(box):
    sealed = box.seal({"headers": {"ACCEPT": "text/plain", "X-Anything": CANARY}}, PLACES)
    assert sealed["headers"]["ACCEPT"] == "text/plain"
    assert list(sealed["headers"]["X-Anything"]) == ["encrypted"]


def test_references_stay_and_sealing_twice_changes_nothing(box):
    document = {"auth": {"token": {"env": "SOURCE_A"}, "password": {"file": "db.txt"}}, "top": CANARY}
    once = box.seal(document, PLACES)
    assert once["auth"] == document["auth"]
    assert box.seal(once, PLACES) == once


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
)


# How fast examples are made says nothing about the box, only about the machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["auth", "headers", "top", "other"]), JUNK))
def test_any_document_can_be_sealed_and_sealing_is_idempotent(document):
    box = SecretBox(KEY)
    once = box.seal(document, PLACES)
    assert box.seal(once, PLACES) == once
    assert once.get("other") == document.get("other")


@pytest.mark.parametrize(
    "value",
    [
        5,
        [CANARY],
        {"secret": CANARY},
        {"env": CANARY},
        {"env": "SOURCE_A", "value": CANARY},
        {"encrypted": CANARY},
        {"file": f"/{CANARY}"},
    ],
)
def test_whatever_stands_at_a_secret_place_is_never_kept_in_clear(box, value):
    sealed = box.seal({"top": value}, PLACES)
    assert list(sealed["top"]) == ["encrypted"]
    assert CANARY not in json.dumps(sealed)


def test_a_variable_of_the_environment_is_read(box):
    environ = {"SOURCE_TOKEN_2": "v", "SOURCE_TOKEN_2_HOSTS": HOST}
    assert box.reveal(SecretValue("env", "SOURCE_TOKEN_2"), URL, environ) == "v"


@pytest.mark.parametrize("environ", [{}, {"SOURCE_TOKEN": ""}])
def test_a_missing_variable_is_named(box, environ):
    with pytest.raises(FatalError) as caught:
        box.reveal(SecretValue("env", "SOURCE_TOKEN"), URL, environ | {"SOURCE_TOKEN_HOSTS": HOST})
    assert (caught.value.reason, caught.value.category) == ("SECRET_UNAVAILABLE", "authentication")
    assert "SOURCE_TOKEN" in caught.value.message


@pytest.mark.parametrize("name", ["PATH", "TECHAURA_SYNC_SECRET_KEY", "source_x", "SOURCE_", "SOURCE_X\n", "XSOURCE_X"])
def test_only_variables_of_sources_are_read(box, name):
    with pytest.raises(FatalError):
        box.reveal(SecretValue("env", name), URL, {name: CANARY, f"{name}_HOSTS": HOST})
    with pytest.raises(ValueError, match="SOURCE_"):
        SecretValue.parse({"env": name})


def test_a_token_of_another_key_cannot_be_opened(box):
    token = SecretBox(Fernet.generate_key().decode()).seal({"top": CANARY}, PLACES)["top"]
    with pytest.raises(FatalError) as caught:
        box.reveal(SecretValue.parse(token), URL, {})
    assert (caught.value.reason, caught.value.category) == ("SECRET_UNAVAILABLE", "authentication")
    assert token["encrypted"] not in caught.value.message


def test_a_secret_file_is_read_without_its_last_line_break(tmp_path):
    (tmp_path / "api.token").write_text("v\n")
    (tmp_path / "api.token.hosts").write_text(f"other.example\n{HOST}\n")
    assert SecretBox(KEY, files_dir=tmp_path).reveal(SecretValue.parse({"file": "api.token"}), URL, {}) == "v"


def forbidden_files(folder: Path) -> dict[str, Path]:
    outside = folder / "outside"
    outside.write_text(CANARY)
    inside = folder / "secrets"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "dir").mkdir()
    os.mkfifo(inside / "fifo")
    (inside / "long").write_text("x" * 20_000)
    (inside / "binary").write_bytes(b"\xff" + CANARY.encode())
    return dict.fromkeys(("link", "dir", "fifo", "long", "binary", "missing", "../outside", ".."), inside)


@pytest.mark.parametrize("name", ["link", "dir", "fifo", "long", "binary", "missing", "../outside", ".."])
def test_only_small_text_files_inside_the_folder_are_read(tmp_path, name):
    folder = forbidden_files(tmp_path)[name]
    with pytest.raises(FatalError) as caught:
        SecretBox(KEY, files_dir=folder, trusted=TRUSTED).reveal(SecretValue("file", name), TRUSTED_URL, {})
    assert caught.value.reason == "SECRET_UNAVAILABLE"
    assert CANARY not in caught.value.message
    assert CANARY not in repr(caught.value.__cause__)


def test_without_a_folder_no_secret_file_is_read():
    with pytest.raises(FatalError, match="TECHAURA_SYNC_SECRETS_DIR"):
        SecretBox(KEY, trusted=TRUSTED).reveal(SecretValue.parse({"file": "x"}), TRUSTED_URL, {})


@pytest.mark.parametrize(
    ("hosts", "url", "is_sent"),
    [
        (HOST, URL, True),
        (HOST.upper(), f"https://{HOST}:8443/", True),
        (f"{HOST}:443", URL, True),
        (f"{HOST}:443", f"http://{HOST}/items", False),
        (f"other.example, {HOST}", URL, True),
        ("*.example.com", URL, True),
        ("example.com", URL, False),
        (HOST, f"https://{HOST}.evil.example/", False),
        (HOST, f"https://{HOST}@evil.example/", False),
        (HOST, "https://evil.example/?" + HOST, False),
        ("127.0.0.1", "http://127.1/", False),
        # Its own list comes before the one of all.
        ("other.example", "https://trusted.example/", False),
        (None, "https://trusted.example/", True),
        (None, URL, False),
        # A list that names nobody is a list.
        ("", "https://trusted.example/", False),
        ("\n", "https://trusted.example/", False),
        (" , ", URL, False),
    ],
)
@pytest.mark.parametrize("kind", ["env", "file"])
def test_a_secret_of_the_service_is_sent_to_its_hosts_alone(tmp_path, kind, hosts, url, is_sent):
    (tmp_path / "SOURCE_TOKEN").write_text(CANARY)
    environ = {"SOURCE_TOKEN": CANARY}
    if hosts is not None:
        (tmp_path / "SOURCE_TOKEN.hosts").write_text(hosts)
        environ["SOURCE_TOKEN_HOSTS"] = hosts
    box = SecretBox(KEY, files_dir=tmp_path, trusted=TRUSTED)
    secret = SecretValue.parse({kind: "SOURCE_TOKEN"})
    if is_sent:
        assert box.reveal(secret, url, environ) == CANARY
        return
    with pytest.raises(FatalError) as caught:
        box.reveal(secret, url, environ)
    assert (caught.value.reason, caught.value.category) == ("SECRET_UNAVAILABLE", "authentication")
    assert "SOURCE_TOKEN_HOSTS" in caught.value.message or "SOURCE_TOKEN.hosts" in caught.value.message
    assert CANARY not in caught.value.message
    # Whoever asks does not learn whether there is such a secret.
    with pytest.raises(FatalError) as unknown:
        box.reveal(secret, url, {name: text for name, text in environ.items() if name != "SOURCE_TOKEN"})
    assert unknown.value.message == caught.value.message


@pytest.mark.parametrize("reference", [{"env": "SOURCE_TOKEN_HOSTS"}, {"file": "api.token.hosts"}])
def test_a_list_of_hosts_is_no_secret(reference):
    with pytest.raises(ValueError, match=r"(?i)hosts"):
        SecretValue.parse(reference)


@pytest.mark.parametrize("key", ["", "short", "ñ" * 44, KEY[:-4]])
def test_a_key_that_is_none_is_refused_without_being_shown(key):
    with pytest.raises(FatalError) as caught:
        SecretBox(key)
    assert "TECHAURA_SYNC_SECRET_KEY" in caught.value.message
    assert not key or key not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_secret_value_shows_nothing():
    assert CANARY not in repr(SecretValue("inline", CANARY))


def test_a_key_file_is_made_once_and_only_for_its_owner(tmp_path):
    path = tmp_path / "var" / "secret.key"
    key = load_or_create_key(path)
    SecretBox(key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path) == key
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    path = tmp_path / "secret.key"
    with ThreadPoolExecutor(6) as pool:
        keys = set(pool.map(_key_of_another_process, [path] * 6))
    assert len(keys) == 1
    assert load_or_create_key(path) in keys


def _key_of_another_process(path: Path) -> str:
    code = "import pathlib, sys, server.core.secret_box as b; print(b.load_or_create_key(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path, mode):
    path = tmp_path / "secret.key"
    load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(FatalError, match="chmod 600"):
        load_or_create_key(path)


def test_a_key_file_that_is_no_file_is_refused(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (link, fifo, tmp_path):
        with pytest.raises(FatalError) as caught:
            load_or_create_key(path)
        assert caught.value.reason == "SECRET_UNAVAILABLE"
    assert not (tmp_path / "elsewhere").exists()
