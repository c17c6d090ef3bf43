"""Every payload of the SSRF drill, in each test run: it takes a few seconds."""

from __future__ import annotations

from tests.drills.api_ssrf import payloads, run


def test_the_list_has_the_breadth_that_is_asked_for() -> None:
    known = payloads()
    assert len(set(known)) == len(known) >= 80
    assert {kind for kind, _ in known} == {
        "url", "redirect", "next", "link", "token", "resolves", "tokenresolves", "proxy"
    }  # fmt: skip


async def test_no_payload_makes_the_service_connect() -> None:
    assert await run(payloads()) == []
