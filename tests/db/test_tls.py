"""TLS to the database is there as it was asked for, or nothing is: verified, refused in one line, never left out."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db.addresses import Address
from db.checked_connection import CheckedConnection, RefusedTlsError
from db.engine import Database
from db.errors import DatabaseError, DatabaseUrlError, RefusedDatabaseError, TransientDatabaseError
from tests.support.database_server import CHOSEN, PASSWORD, USER, DatabaseServer, server_running
from tests.support.greeting_proxy import greeting_proxy, without_tls
from tests.support.programs import run
from tests.support.service import PROGRAM, environment
from tests.support.tls import TestAuthority

Files = dict[str, str]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One that the server may read too, which is another user."""
    made = Path(tempfile.mkdtemp(prefix="techaura-tls-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def authority(folder: Path) -> TestAuthority:
    return TestAuthority(folder)


class TlsServer:
    """A server with TLS whose certificate can be changed while it runs."""

    def __init__(self, server: DatabaseServer, folder: Path, own: Files) -> None:
        self.server = server
        self.database = server.new_database()
        self._folder, self._own = folder, own

    def show(self, certificate: Files | None = None) -> None:
        """Show this certificate from now on; without one its own."""
        copy_certificate(certificate or self._own, self._folder)
        self.server.execute("FLUSH SSL" if self.server.kind == "mariadb" else "ALTER INSTANCE RELOAD TLS")

    def url(self, query: str = "", *, user: str = USER, host: str = "127.0.0.1", port: int | None = None) -> str:
        """A URL of its database."""
        place = f"{host}:{port or self.server.port}"
        return f"mysql+aiomysql://{user}:{PASSWORD}@{place}/{self.database}{query and '?'}{query}"

    def user(self, requirement: str) -> str:
        """Make a user of whom the server requires this; answer its name."""
        name = self.server.new_user(self.database, ["SELECT"])
        self.server.execute(f"ALTER USER `{name}`@'%' REQUIRE {requirement}")
        return name


def copy_certificate(files: Files, folder: Path) -> None:
    shutil.copy(files["ssl_certfile"], folder / "server.pem")
    shutil.copy(files["ssl_keyfile"], folder / "server.key")


@pytest.fixture(scope="module")
def tls_server(folder: Path, authority: TestAuthority) -> Iterator[TlsServer]:
    own = authority.certificate("127.0.0.1", "localhost")
    copy_certificate(own, folder)
    options = (
        f"--ssl-ca={authority.file}",
        f"--ssl-cert={folder / 'server.pem'}",
        f"--ssl-key={folder / 'server.key'}",
        "--bind-address=127.0.0.1,::1",
    )
    with server_running(options=options) as server:
        yield TlsServer(server, folder, own)


@pytest.fixture(scope="module")
def plain_server(database_server: DatabaseServer) -> Iterator[DatabaseServer]:
    """A server that offers no TLS. MariaDB does not without a certificate, MySQL makes itself one."""
    if CHOSEN == "mariadb":
        yield database_server
        return
    with server_running(options=("--tls-version=",)) as server:
        yield server


async def cipher(url: str, connections: int = 1) -> set[str]:
    """What the connections of a pool are encrypted with."""
    database = Database(url)
    try:

        async def one() -> str:
            async with database.read() as connection:
                await connection.execute(text("SELECT SLEEP(0.05)"))
                rows = await connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))
                return str(rows.one()[1])

        return set(await asyncio.gather(*(one() for _ in range(connections))))
    finally:
        await database.close()


async def refusal(url: str) -> str:
    """The one line by which a database is refused, for good."""
    with pytest.raises(RefusedDatabaseError) as caught:
        await cipher(url)
    assert "\n" not in caught.value.message and PASSWORD not in caught.value.message
    return caught.value.message


async def refused_or_not(url: str) -> str:
    """The line by which a database is refused; empty while it is not."""
    try:
        await cipher(url)
    except RefusedDatabaseError as error:
        return error.message
    return ""


async def test_every_connection_is_encrypted(tls_server: TlsServer, authority: TestAuthority) -> None:
    assert await cipher(tls_server.url()) == {""}
    for query in (
        "ssl=required",
        f"ssl=verify-ca&ssl_ca={authority.file}",
        f"ssl=verify-identity&ssl_ca={authority.file}",
    ):
        ciphers = await cipher(tls_server.url(query), 5)
        assert ciphers and "" not in ciphers


async def test_the_name_is_verified_only_where_asked_for(tls_server: TlsServer, authority: TestAuthority) -> None:
    ca = f"ssl_ca={authority.file}"
    tls_server.show(authority.certificate("db.example.org"))
    assert "" not in await cipher(tls_server.url("ssl=required"))
    assert "" not in await cipher(tls_server.url(f"ssl=verify-ca&{ca}"))
    line = await refusal(tls_server.url(f"ssl=verify-identity&{ca}"))
    assert f"127.0.0.1:{tls_server.server.port}" in line and "not valid for '127.0.0.1'" in line
    assert "not valid for 'localhost'" in await refusal(tls_server.url(f"ssl=verify-identity&{ca}", host="localhost"))
    tls_server.show(authority.certificate("::1"))
    assert "" not in await cipher(tls_server.url(f"ssl=verify-identity&{ca}", host="[::1]"))
    tls_server.show()
    assert "" not in await cipher(tls_server.url(f"ssl=verify-identity&{ca}", host="localhost"))


@pytest.mark.parametrize("mode", ["verify-ca", "verify-identity"])
async def test_the_chain_is_verified(
    tls_server: TlsServer, authority: TestAuthority, tmp_path: Path, mode: str
) -> None:
    other = TestAuthority(tmp_path)
    assert "ssl_ca" in await refusal(tls_server.url(f"ssl={mode}&ssl_ca={other.file}"))
    assert "ssl_ca" in await refusal(tls_server.url(f"ssl={mode}"))


async def test_a_certificate_that_expires_while_the_server_runs(
    tls_server: TlsServer, authority: TestAuthority
) -> None:
    # MySQL loads none that has expired already.
    tls_server.show(authority.certificate("127.0.0.1", days=4 / 86_400))
    async with asyncio.timeout(60):
        while (line := await refused_or_not(tls_server.url(f"ssl=verify-ca&ssl_ca={authority.file}"))) == "":
            pass
    assert "expired" in line
    assert "expired" in await refusal(tls_server.url(f"ssl=verify-identity&ssl_ca={authority.file}"))
    assert "" not in await cipher(tls_server.url("ssl=required"))
    tls_server.show()


async def test_a_user_who_must_use_tls(tls_server: TlsServer) -> None:
    user = tls_server.user("SSL")
    assert "" not in await cipher(tls_server.url("ssl=required", user=user))
    line = await refusal(tls_server.url(user=user))
    assert user in line and "ssl=required" in line and "ssl=verify-identity" in line


async def test_a_user_who_must_show_a_certificate(
    tls_server: TlsServer, authority: TestAuthority, tmp_path: Path
) -> None:
    user = tls_server.user("X509")
    own, foreign = authority.certificate("client"), TestAuthority(tmp_path).certificate("client")
    shown = "ssl=required&ssl_cert={ssl_certfile}&ssl_key={ssl_keyfile}"
    assert "" not in await cipher(tls_server.url(shown.format(**own), user=user))
    assert "ssl_cert" in await refusal(tls_server.url("ssl=required", user=user))
    # The server's reason, or the reset that has overtaken it.
    with pytest.raises(DatabaseError, match="may not accept ssl_cert"):
        await cipher(tls_server.url(shown.format(**foreign), user=user))


async def test_a_server_that_wants_tls(tls_server: TlsServer) -> None:
    tls_server.server.execute("SET GLOBAL require_secure_transport = ON")
    try:
        assert "ssl=required" in await refusal(tls_server.url())
        assert "" not in await cipher(tls_server.url("ssl=required"))
    finally:
        tls_server.server.execute("SET GLOBAL require_secure_transport = OFF")


@pytest.mark.parametrize("mode", ["required", "verify-ca", "verify-identity"])
async def test_a_server_without_tls_where_it_is_asked_for(plain_server: DatabaseServer, mode: str) -> None:
    url = plain_server.url(plain_server.new_database())
    assert await cipher(url) == {""}
    assert "does not offer TLS" in await refusal(f"{url}?ssl={mode}")


@pytest.mark.parametrize("mode", ["required", "verify-identity"])
async def test_nothing_is_told_to_a_server_whose_tls_was_struck_out(
    tls_server: TlsServer, authority: TestAuthority, mode: str
) -> None:
    async with greeting_proxy(tls_server.server.port, without_tls) as proxy:
        ca = f"&ssl_ca={authority.file}" if mode != "required" else ""
        line = await refusal(tls_server.url(f"ssl={mode}{ca}", port=proxy.port))
        assert "does not offer TLS" in line and str(proxy.port) in line
        assert proxy.seen == b""
        # Who asks for no TLS is let through: it was the proxy's greeting, not the proxy.
        assert await cipher(tls_server.url(port=proxy.port)) == {""}
        assert USER.encode() in proxy.seen


async def test_a_password_goes_out_as_it_is_only_through_tls(tls_server: TlsServer) -> None:
    def wants_clear_text(greeting: bytes) -> bytes:
        plugin = greeting.rstrip(b"\0").rpartition(b"\0")[2]
        return greeting.replace(plugin, b"mysql_clear_password")

    async with greeting_proxy(tls_server.server.port, wants_clear_text) as proxy:
        assert "plain text" in await refusal(tls_server.url(port=proxy.port))
        assert proxy.seen == b""


async def test_a_password_that_the_key_of_a_server_cannot_encrypt_needs_tls(tls_server: TlsServer) -> None:
    name, password = tls_server.server.new_user(tls_server.database, ["SELECT"]), "p" * 250
    tls_server.server.execute(f"ALTER USER `{name}`@'%' IDENTIFIED BY '{password}'")

    def url(query: str) -> str:
        return tls_server.url(query, user=name).replace(f":{PASSWORD}@", f":{password}@")

    # MariaDB encrypts no password: what goes out there is a proof of fixed length.
    words = "add one of ssl=required" if CHOSEN == "mysql" else ""
    assert words in await refused_or_not(url(""))
    assert await cipher(url("ssl=required")) != {""}


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [
        (Address("127.0.0.1"), True),
        (Address("127.8.0.1"), True),
        (Address("::1"), True),
        (Address("localhost"), True),
        (Address("db.example", socket="/run/s.sock"), True),
        (Address("10.0.0.7"), False),
        (Address("fd00::3"), False),
        (Address("db.example.org"), False),
        (Address("localhost.example.org"), False),
    ],
)
async def test_a_key_from_the_network_encrypts_no_password(address: Address, is_taken: bool) -> None:
    connection = CheckedConnection(address, 1.0, user="u", password="p")
    if is_taken:
        connection.server_public_key = b"a key"
        assert connection.server_public_key == b"a key"
    else:
        with pytest.raises(RefusedTlsError, match="add one of ssl=required"):
            connection.server_public_key = b"a key"
        assert connection.server_public_key is None


def with_charset(greeting: bytes) -> bytes:
    """A greeting in a character set that does not exist."""
    changed = bytearray(greeting)
    changed[greeting.index(b"\0", 1) + 1 + 4 + 8 + 1 + 2] = 0xFF
    return bytes(changed)


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        b"\n",
        b"\n8.0",
        b"\n8.0.0\0abc",
        b"\nx\0" + b"\1" * 40,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x0b\x08\x05\x1a\0",
        b"\xff",
        b"\xff\x10",
        b"\xfe" * 60,
        b"\xff" * 60,
        struct.pack("<BH", 0xFF, 9999) + b"#HY000\xff\xfe",
    ],
)
async def test_what_does_not_speak_mysql_is_told_in_one_line(tls_server: TlsServer, greeting: bytes) -> None:
    async with greeting_proxy(tls_server.server.port, lambda _: greeting) as proxy:
        line = await refusal(tls_server.url(port=proxy.port))
    assert str(proxy.port) in line or "9999" in line


async def test_a_server_that_says_nothing_is_left_after_the_limit() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(f"mysql+aiomysql://u:p@127.0.0.1:{port}/ta", connect_timeout_seconds=0.2)
    with pytest.raises(TransientDatabaseError, match=r"cannot connect to 127\.0\.0\.1:\d+ \(no answer within 0\.2 s\)"):
        async with database.read():
            pass
    await left.wait()
    await database.close()
    server.close()


def make_files(folder: Path) -> dict[str, str]:
    """Files for TLS, right and wrong."""
    authority = TestAuthority(folder)
    own, other = authority.certificate("own"), authority.certificate("other")
    subprocess.run(
        ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", own["ssl_keyfile"], "-out", folder / "locked.key"],
        check=True,
        capture_output=True,
    )
    (folder / "text").write_text("nothing")
    return {"ca": str(authority.file), "cert": own["ssl_certfile"], "key": own["ssl_keyfile"]} | {
        "other": other["ssl_keyfile"],
        "locked": str(folder / "locked.key"),
        "text": str(folder / "text"),
        "folder": str(folder),
        "missing": str(folder / "missing"),
    }


@pytest.mark.parametrize(
    ("query", "names", "said"),
    [
        ("ssl=verify-ca&ssl_ca={missing}", "missing", "No such file"),
        ("ssl=verify-ca&ssl_ca={folder}", "folder", "directory"),
        ("ssl=verify-ca&ssl_ca={text}", "text", "PEM"),
        ("ssl=verify-ca&ssl_ca={key}", "key", "PEM"),
        ("ssl=required&ssl_cert={missing}&ssl_key={key}", "missing", "No such file"),
        ("ssl=required&ssl_cert={cert}&ssl_key={missing}", "missing", "No such file"),
        ("ssl=required&ssl_cert={text}&ssl_key={key}", "text", "PEM"),
        ("ssl=required&ssl_cert={cert}&ssl_key={text}", "text", "PEM"),
        ("ssl=required&ssl_cert={cert}&ssl_key={other}", "other", "belong together"),
        ("ssl=required&ssl_cert={cert}&ssl_key={locked}", "locked", "encrypted"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, query: str, names: str, said: str) -> None:
    files = make_files(tmp_path)
    with pytest.raises(DatabaseUrlError) as caught:
        Database("mysql+aiomysql://u:p@127.0.0.1:9/ta?" + query.format(**files))
    line = str(caught.value)
    assert files[names] in line and said in line and "\n" not in line


async def test_the_authorities_of_the_system_do_without_ssl_ca(
    tls_server: TlsServer, authority: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(authority.file))
    assert "" not in await cipher(tls_server.url("ssl=verify-identity"))


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_the_program_refuses_at_once_in_one_line(tls_server: TlsServer, tmp_path: Path, command: str) -> None:
    done = run(PROGRAM, command, env=environment(tls_server.url("ssl=verify-identity"), tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "certificate" in done.stderr, done.stderr
