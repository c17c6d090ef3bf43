"""A database URL is read part by part; what cannot be right is told in one line that shows no part of a password."""

from __future__ import annotations

import itertools
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.addresses import Address
from db.errors import DatabaseUrlError
from db.tls import TlsMode
from db.url import parse_url

BASE = "mysql+aiomysql://"


def refusal(text: str) -> str:
    """The one line by which a URL is refused."""
    with pytest.raises(DatabaseUrlError) as caught:
        parse_url(text)
    line = str(caught.value)
    assert line and "\n" not in line
    return line


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ("", [("localhost", 3306)]),
        ("db", [("db", 3306)]),
        ("my_sql-1.example.org:1", [("my_sql-1.example.org", 1)]),
        ("10.0.0.7:65535", [("10.0.0.7", 65535)]),
        ("[::1]", [("::1", 3306)]),
        ("[::1]:3307", [("::1", 3307)]),
        ("[fe80::1%25eth0]:3307", [("fe80::1%eth0", 3307)]),
        ("a:1,b,[::1]:2,a:1", [("a", 1), ("b", 3306), ("::1", 2)]),
    ],
)
def test_hosts(places: str, expected: list[tuple[str, int]]) -> None:
    assert parse_url(f"{BASE}u:p@{places}/ta").addresses == tuple(Address(*each) for each in expected)


def test_an_address_is_shown_as_a_url_has_it() -> None:
    assert [str(each) for each in (Address("db", 1), Address("::1", 2), Address(socket="/run/s.sock"))] == [
        "db:1",
        "[::1]:2",
        "the socket /run/s.sock",
    ]


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ("db:", "port"),
        ("db:0", "port"),
        ("db:65536", "port"),
        ("db:3306x", "port"),
        ("db:٣", "port"),
        ("db:-1", "port"),
        ("db: 1", "port"),
        ("::1", "brackets"),
        ("::1:3306", "brackets"),
        ("[::1", "brackets"),
        ("[::1]x", "brackets"),
        ("[db]:1", "IPv6"),
        ("[]:1", "IPv6"),
        (":3306", "host"),
        ("a b", "host"),
        ("a..b", "host"),
        ("a" * 64, "host"),
        ("höst", "host"),
        ("a,,b", "host 2 of 3"),
        ("a:1,b:x", "host 2 of 2"),
        (",".join(f"h{n}" for n in range(17)), "more than 16"),
    ],
)
def test_wrong_hosts(places: str, said: str) -> None:
    assert said in refusal(f"{BASE}u:p@{places}/ta")


@pytest.mark.parametrize("parameter", ["ssl", "unix_socket"])
def test_a_parameter_without_a_value(parameter: str) -> None:
    assert parameter in refusal(f"{BASE}u:p@db/ta?{parameter}=")
    assert "NAME=VALUE" in refusal(f"{BASE}u:p@db/ta?{parameter}")


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("sslmode", "ssl=required"),
        ("ssl_mode", "ssl=required"),
        ("ssl-mode", "ssl=required"),
        ("useSSL", "ssl=required"),
        ("ssl_verify_cert", "ssl=verify-ca"),
        ("ssl_verify_identity", "ssl=verify-identity"),
        ("ssl-ca", "ssl_ca"),
        ("sslrootcert", "ssl_ca"),
        ("ssl_cret", "ssl_cert"),
        ("sslkey", "ssl_key"),
        ("socket", "unix_socket"),
        ("foo", "known are ssl, ssl_ca, ssl_cert, ssl_key, unix_socket, charset"),
    ],
)
def test_an_unknown_parameter_is_named_with_what_is_known(name: str, right: str) -> None:
    line = refusal(f"{BASE}u:p@db/ta?{name}=hunter2")
    assert repr(name) in line and right in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("charset=latin1", "charset"),
        ("ssl=true", "ssl=verify-identity"),
        ("ssl=VERIFY_CA", "ssl=verify-identity"),
        ("ssl=required&ssl=required", "twice"),
        ("ssl_ca=/etc/hostname", "ssl="),
        ("ssl=required&ssl_ca=/etc/hostname", "verif"),
        ("ssl=required&ssl_cert=/etc/hostname", "ssl_key"),
        ("ssl=required&ssl_key=/etc/hostname", "ssl_cert"),
        ("ssl=%ff", "UTF-8"),
        ("ssl_ca=%00&ssl=required", "control"),
        ("unix_socket=s.sock", "absolute"),
        ("unix_socket=/nowhere/s.sock", "/nowhere/s.sock"),
        ("unix_socket=/etc/hostname", "/etc/hostname"),
        ("unix_socket=/etc/hostname/s.sock", "/etc/hostname/s.sock"),
        (f"unix_socket=/{'x' * 200}", "bytes"),
        ("unix_socket=/tmp/s.sock&ssl=required", "does not leave the machine"),
    ],
)
def test_wrong_parameters(query: str, said: str) -> None:
    assert said in refusal(f"{BASE}u:p@db/ta?{query}")


def test_parameters(tmp_path: Path) -> None:
    ca = tmp_path / "a b@.pem"
    tls = parse_url(f"{BASE}u:p@db/ta?charset=utf8mb4&ssl=verify-ca&ssl_ca={str(ca).replace('@', '%40')}&").tls
    assert tls is not None
    assert (tls.mode, tls.ca, tls.cert, tls.key) == (TlsMode.VERIFY_CA, str(ca), "", "")
    assert parse_url(f"{BASE}u:p@db/ta").tls is None


def test_a_socket_may_be_there_later_but_not_be_something_else(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    url = f"{BASE}u:p@localhost/ta?unix_socket={path}"
    assert parse_url(url).addresses == (Address(socket=str(path)),)
    assert "several hosts" in refusal(f"{BASE}u:p@a,b/ta?unix_socket={path}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert parse_url(url.replace("localhost", "")).addresses == (Address(socket=str(path)),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no database URL"),
        ("nonsense", "no database URL"),
        ("://u:p@db/ta", "no database URL"),
        ("mysql://u:p@db/ta", "'mysql'"),
        ("mysql+pymysql://u:p@db/ta", "'mysql+pymysql'"),
        ("postgresql://u:p@db/ta", "mysql+aiomysql"),
        (f"{BASE}db/ta", "no user"),
        (f"{BASE}:p@db/ta", "no user"),
        (f"{BASE}u:p@db", "no database"),
        (f"{BASE}u:p@db/", "no database"),
        (f"{BASE}u:p@db/?ssl=required", "no database"),
        (f"{BASE}u:p@db/a/b", "database name"),
        (f"{BASE}u:p@db/{'x' * 65}", "database name"),
        (f"{BASE}u:p@db/%00", "control"),
        (f"{BASE}%ff:p@db/ta", "UTF-8"),
        (f"{BASE}u%00:p@db/ta", "control"),
        (f"{BASE}u:p%00@db/ta", "%00"),
        (f"{BASE}u:p@db/ta\n", "line break"),
        (f"{BASE}u:\udcff@db/ta", "percent-encoded"),
        ("sqlite+aiosqlite://var/sync.db", "three slashes"),
        ("sqlite+aiosqlite:///sync.db?timeout=5", "takes none"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("text", "database"),
    [
        ("sqlite+aiosqlite:///var/sync.db", "var/sync.db"),
        ("sqlite+aiosqlite:////var/sync.db", "/var/sync.db"),
        ("sqlite+aiosqlite:///a%20b%3F.db", "a b?.db"),
        ("sqlite+aiosqlite:///a@b#c.db", "a@b#c.db"),
        ("sqlite+aiosqlite:///:memory:", ":memory:"),
        ("sqlite+aiosqlite://", ":memory:"),
        ("sqlite+aiosqlite:///", ":memory:"),
    ],
)
def test_embedded_databases(text: str, database: str) -> None:
    url = parse_url(text)
    assert url.is_sqlite
    assert url.database == database


@pytest.mark.parametrize("raw", "@/?#")
@pytest.mark.parametrize(("before", "behind"), [("", "hunter2"), ("hunter2", ""), ("hunter", "2:3306/x?y=z")])
def test_a_raw_character_of_a_password_is_told(raw: str, before: str, behind: str) -> None:
    for credentials in (f"u:{before}{raw}{behind}", f"{before}{raw}{behind}:p", f"u:{before}{raw}{raw}{behind}"):
        line = refusal(f"{BASE}{credentials}@db:3306/ta?ssl=required")
        assert "percent-encoded" in line
        assert "hunter" not in line


# Words that no text of ours has, joined by everything that means something in a URL.
SECRET = st.lists(st.sampled_from(["qzx1", "qzx2", *"@/?#:%[],&=+ "]), min_size=1, max_size=12).map("".join)


@given(user=SECRET, password=SECRET)
def test_no_text_shows_a_part_of_a_password(user: str, password: str) -> None:
    texts = [f"{BASE}{user}:{password}@db/ta?ssl=required", f"{BASE}u:{password}@db:1/ta", f"{BASE}u:{password}@db"]
    for text in texts:
        try:
            shown = repr(parse_url(text))
        except DatabaseUrlError as error:
            assert "qzx" not in str(error)
        else:
            assert password in text and not re.search("qzx", shown.replace(repr(parse_url(text).user), ""))


@given(password=st.binary(max_size=20))
def test_each_byte_of_a_password_can_be_percent_encoded(password: bytes) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in password)
    if b"\0" in password:
        refusal(f"{BASE}u:{encoded}@db/ta")
    else:
        assert parse_url(f"{BASE}u:{encoded}@db/ta").password == password


def test_what_needs_no_encoding_in_a_password() -> None:
    for pair in itertools.permutations("a:$&+ %!*()[],;='\"ñ", 2):
        password = "".join(pair)
        if re.fullmatch("%[0-9a-fA-F]{2}", password) is None:
            assert parse_url(f"{BASE}u:{password}@db/ta").password == password.encode()
