"""Which addresses the service connects to. A listener stands where it must not go, and counts who comes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from starlette.responses import RedirectResponse

from server.core.errors import FatalError, InvalidRequestError
from server.sources.api.http.address_guard import AddressGuard, is_public
from server.sources.api.options import parse_options
from server.sources.api.reader import check_api
from tests.support.names import names_resolved

PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::1",
    "2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "fe80::1", "fe80::1%1", "fec0::1", "fc00::1", "fd00::1",
    "fd00:ec2::254", "ff02::1", "ff0e::1", "2001:db8::1", "100::1", "5f00::1", "3fff::1",
]  # fmt: skip
SPELLINGS = [
    "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
    "localhost", "LOCALHOST", "localhost.", "x.localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]", "[::]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "[fe80::1%25eth0]",
    "10.0.0.1", "192.168.0.1", "0xa9fea9fe", "2852039166", "[fd00:ec2::254]", "127.0.0.1.", "①②⑦.⓪.⓪.①",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address):
    assert not is_public(ip_address(address))


class Listener:
    """Counts the connections that reach a port of loopback."""

    def __init__(self) -> None:
        self.count = 0
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        writer.close()


@pytest.fixture
async def forbidden() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.talk, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_a_private_address_is_connected_to(host, forbidden, read, context):
    url = f"http://{host}:{forbidden.port}/"
    try:
        outcome = await read(url, allow_private_addresses=False, http_retry_attempts_max=1)
        assert outcome.error is not None
    except InvalidRequestError as error:
        assert error.reason in ("SOURCE_FORBIDDEN", "INVALID_REQUEST")
    assert forbidden.count == 0


async def test_a_refusal_names_the_setting_that_would_allow_it(context):
    with pytest.raises(InvalidRequestError) as caught:
        await check_api("http://127.0.0.1/", parse_options({}), context(allow_private_addresses=False))
    assert caught.value.reason == "SOURCE_FORBIDDEN"
    assert "TECHAURA_SYNC_ALLOW_PRIVATE_ADDRESSES=true" in caught.value.message


class Resolver:
    """Answers for the names of a test instead of the network; a name may answer differently each time."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked = 0

    def __call__(self, _host: str) -> list[str]:
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return addresses


async def test_a_name_with_a_private_address_is_not_connected_to(forbidden, read):
    for answer in (["127.0.0.1"], ["127.0.0.1", "93.184.216.34"], ["::ffff:127.0.0.1"]):
        with names_resolved(Resolver([answer])):
            outcome = await read(f"http://rebind.example:{forbidden.port}/", allow_private_addresses=False)
        assert outcome.error is not None
        assert (outcome.error.reason, outcome.error.retryable) == ("SOURCE_FORBIDDEN", False)
        assert forbidden.count == 0


async def test_the_address_that_was_checked_is_the_one_connected_to(serve, api, read):
    # The second answer would be refused; it is never asked for, because the connection goes to the first.
    resolver = Resolver([["127.0.0.1"], ["10.0.0.1"]])
    app = api(lambda request: [{"id": 1}])
    port = (await serve(app)).rpartition(":")[2]
    with names_resolved(resolver):
        outcome = await read(
            f"http://songs.example:{port}/", private_hosts="songs.example", allow_private_addresses=False
        )
    assert outcome.ids == ["1"]
    assert app.requests[0].headers["host"] == f"songs.example:{port}"
    assert resolver.asked == 1


async def test_names_that_do_not_resolve_keep_no_file_waiting(serve, api, read):
    """Far more look-ups than there are threads for all else, of a name server that does not answer."""
    asked, answered = threading.Semaphore(0), threading.Event()

    def never(_host: str) -> list[str]:
        asked.release()
        answered.wait(60)
        raise OSError("no answer")

    with names_resolved(never):
        reads = [
            asyncio.ensure_future(read(f"http://slow-{number}.example/", http_retry_attempts_max=1))
            for number in range(40)
        ]
        try:
            assert await asyncio.to_thread(asked.acquire, timeout=30)
            # What else needs a thread gets one, and an address that is no name needs no look-up to be refused.
            for _file in range(50):
                assert await asyncio.to_thread(len, "a file") == 6
        finally:
            answered.set()
        for outcome in await asyncio.gather(*reads):
            assert outcome.error.reason == "SOURCE_UNAVAILABLE"


async def test_a_redirect_to_a_private_address_is_not_followed(serve, api, read, forbidden):
    app = api(lambda request: RedirectResponse(f"http://127.0.0.1:{forbidden.port}/"))
    url = await serve(app)
    host = url.removeprefix("http://")
    outcome = await read(url, allow_private_addresses=False, private_hosts=host)
    assert outcome.error is not None
    assert len(app.requests) == 1
    assert forbidden.count == 0


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        ("", "https://api.example.com/", True),
        ("api.example.com", "https://api.example.com/", True),
        ("API.example.com.", "https://api.EXAMPLE.com/", True),
        ("other.example", "https://api.example.com/", False),
        ("*.example.com", "https://api.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://badexample.com/", False),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:9090/", False),
        ("localhost, x.example", "http://localhost:1234/", True),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("::1", "http://[::1]/", True),
        ("127.0.0.1", "http://127.1/", False),
    ],
)
def test_the_list_of_hosts(hosts, url, allowed, context):
    settings = {"allowed_hosts": hosts, "private_hosts": "127.0.0.1,localhost,::1", "allow_private_addresses": False}
    guard = AddressGuard.from_settings(context(**settings).settings)
    if allowed:
        guard.check_url(url)
    else:
        with pytest.raises(InvalidRequestError, match="host"):
            guard.check_url(url)


def test_one_forbidden_address_among_others_refuses_the_host():
    with pytest.raises(FatalError, match="not public"):
        AddressGuard().checked("h.example", 443, ["8.8.8.8", "10.0.0.1"])
    assert AddressGuard().checked("h.example", 443, ["8.8.8.8"]) == [ip_address("8.8.8.8")]


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"allowed_hosts": "db.example"}, False),
        ({"private_hosts": "db.example"}, True),
        ({"private_hosts": "db.example:443"}, True),
        ({"private_hosts": "db.example:80"}, False),
        ({"private_hosts": "*.example"}, True),
        ({"private_hosts": "db.example", "allowed_hosts": "db.example"}, True),
        # What is not allowed is not allowed for being private either.
        ({"private_hosts": "db.example", "allowed_hosts": "other.example"}, False),
        ({"allow_private_addresses": True}, True),
        ({"allow_private_addresses": True, "allowed_hosts": "other.example"}, False),
    ],
)
@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "192.168.1.9", "fd00::7"])
def test_which_hosts_are_allowed_and_which_of_them_may_be_private_are_two_settings(settings, allowed, address, context):
    guard = AddressGuard.from_settings(context(**{"allow_private_addresses": False, **settings}).settings)
    if allowed:
        assert guard.checked("db.example", 443, [address]) == [ip_address(address)]
    else:
        with pytest.raises(FatalError) as caught:
            guard.checked("db.example", 443, [address])
        assert caught.value.reason == "SOURCE_FORBIDDEN"


METADATA = [
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "fe80::a9fe:a9fe%eth0", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254", "fd00:ec2::254%eth0", "100.100.100.200", "::ffff:100.100.100.200",
    "168.63.129.16", "192.0.0.192", "fd20:ce::254",
]  # fmt: skip


@pytest.mark.parametrize("address", METADATA)
def test_no_setting_opens_the_addresses_at_which_a_machine_learns_its_credentials(address, context):
    settings = {"allow_private_addresses": True, "private_hosts": f"meta.example,{address}", "allowed_hosts": ""}
    guard = AddressGuard.from_settings(context(**settings).settings)
    with pytest.raises(FatalError) as caught:
        guard.checked("meta.example", 80, ["8.8.8.8", address])
    assert (caught.value.reason, "no setting allows it" in caught.value.message) == ("SOURCE_FORBIDDEN", True)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0xa9fea9fe", "2852039166", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]"]
)
def test_nor_does_any_spelling_of_them(host, context):
    guard = AddressGuard.from_settings(context(allow_private_addresses=True).settings)
    with pytest.raises(InvalidRequestError, match="no setting allows it"):
        guard.check_url(f"http://{host}/latest/meta-data/")
