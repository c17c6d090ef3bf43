"""The HTTP client of one run: bounded, patient within limits, and telling secrets to one origin only.

Each request has a limit on its whole time, on its phases, on its headers and on its body. Passing faults (timeouts,
broken connections, 408, 425, 5xx) are tried again with capped exponential backoff and full jitter. What asks to come
back later (429, 202, a 403 or 503 that is a rate limit, any Retry-After: rate_limits.py) is no fault: short waits are
waited for, for longer ones the run is given back, pending. All runs share the pace of a host (throttle/host_pace.py) and
its circuit (throttle/circuit.py). A 401 or 403 renews an OAuth token once; after that, and with any other credentials, it
is an authentication error. What the source says of an error stands in its text (source_words.py). Redirects are followed by hand, within the source's own origin. A failure leaves nothing behind;
`close` lets go of the connections.

Texts show scheme, host and path: the query may hold secrets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Final

import httpx

from server.core.errors import FatalError, RetryableError, SyncError
from server.core.reasons import Category, Reason
from server.core.retry import RetryPolicy
from server.sources.api import urls
from server.sources.api.http.backoff import Backoff
from server.sources.api.http.cookies import RunCookies
from server.sources.api.http.credentials import Credentials
from server.sources.api.http.decompress import ACCEPT_ENCODING
from server.sources.api.http.oauth import TokenSource
from server.sources.api.http.rate_limits import window_of
from server.sources.api.http.refusals import UnauthorizedError, refusal
from server.sources.api.http.response_body import read_beginning, read_body
from server.sources.api.http.source_words import WORDS_BYTES_MAX, words_of
from server.sources.api.http.transport import open_client, request_to
from server.sources.contract import SourceContext
from server.sources.throttle.circuit import HostPausedError, RateLimitedError

_REDIRECTS_MAX: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_WORDS_SECONDS_MAX: Final = 5.0
_RETRY_WAIT_BASE_SECONDS: Final = 0.5
_USER_AGENT: Final = "techaura-sync/0.1"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What asks for a page.

    Args:
        content: JSON that is sent as the body; None for no body.
        conditions: headers that let the source answer 304, unchanged.
    """

    method: str
    url: str
    content: bytes | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response.

    Args:
        status: 200 to 299, or 304 where the request had conditions.
        headers: names in lower case; values of a repeated one joined by commas.
        body: decompressed.
        url: where it came from, after redirects; without what is secret.
        tells_end: whether the response said how long its body is, so that one that broke off is known.
        is_kept: whether the body is an earlier one, which the source has called unchanged: its items are.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    tells_end: bool = True
    is_kept: bool = False

    @property
    def media_type(self) -> str:
        """Type and subtype of the content, lower case; empty when it is not stated."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset that the content type states, or None."""
        header = Message()
        header["content-type"] = self.headers.get("content-type", "")
        return header.get_content_charset()


class ApiClient:
    """Fetches pages of one source.

    Args:
        url: the source; its origin is the only one that is ever asked, beside the endpoint of an OAuth grant.
        credentials: what every request carries, secrets included.
        requests_per_second: a budget of the source's own; 0 for none.

    Raises:
        FatalError: SOURCE_FORBIDDEN, the file of authorities cannot be read.
    """

    def __init__(
        self, url: str, credentials: Credentials, context: SourceContext, *, requests_per_second: float = 0.0
    ) -> None:
        # The libraries log headers, which may hold secrets, and whole URLs.
        for name in ("httpx", "httpcore", "hpack", "h2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._settings = context.settings
        self._clock = context.clock
        self._moved = context.moved
        self._circuits = context.circuits
        self._instruments = context.instruments
        self._origin = urls.origin(url)
        self._host = f"{self._origin[1]}:{self._origin[2]}"
        self._credentials = credentials
        own = {"Host": urls.host_header(url), "User-Agent": _USER_AGENT, "Accept": "application/json, */*;q=0.5"}
        last = {"Accept-Encoding": ACCEPT_ENCODING}
        self._headers = _merged([own, credentials.headers, last])
        self._body_headers = _merged([own, {"Content-Type": "application/json"}, credentials.headers, last])
        self._http = open_client(context.settings)
        self._tokens = TokenSource(credentials.grant, self._http, context) if credentials.grant else None
        self._accepted: str | None = None
        self._cookies = RunCookies()
        self._pace = context.paces.of(*self._origin[1:])
        # Of the requests of this run one at a time waits for its turn, so that each keeps its own distance.
        self._turns = asyncio.Lock()
        budgets = [rate for rate in (requests_per_second, self._settings.http_host_requests_per_second_max) if rate]
        self._per_second_max = min(budgets, default=0.0)
        self._retry_policy = RetryPolicy(
            self._settings.http_retry_attempts_max,
            self._settings.http_retry_elapsed_seconds_max,
            wait_base_seconds=_RETRY_WAIT_BASE_SECONDS,
            wait_seconds_max=self._settings.http_retry_wait_seconds_max,
        )

    async def fetch(self, request: PageRequest, label: str, *, is_alone: bool = True) -> Answer:
        """Fetch one page, however often it takes within the limits.

        Args:
            label: what is fetched, for error texts, such as `page 7`.
            is_alone: whether no others were asked for at the same time; else a passing fault is raised at once, and says nothing
                of the host.

        Raises:
            RetryableError: SOURCE_UNAVAILABLE, after the last try.
            HostPausedError: the source wants to be asked later.
            FatalError: AUTHENTICATION_FAILED, SOURCE_REFUSED, SOURCE_MALFORMED, SOURCE_FORBIDDEN.
            PageMissingError: the source answered 400, 404, 416 or 422.
        """
        backoff = self.backoff()
        token: str | None = None
        refused: str | None = None
        asked_at_seconds = self._clock.monotonic_seconds()
        while True:
            try:
                if self._tokens is not None:
                    token = await self._tokens.access_token(refused)
                await self._turn(label, request.url)
                asked_at_seconds = self._clock.monotonic_seconds()
                async with self._circuits.passing(self._host, self._clock, is_counted=is_alone):
                    answer = await self._once(request, label, token)
                self._accepted = token
                return answer
            except RetryableError as fault:
                if isinstance(fault, RateLimitedError):
                    gap_seconds_max = self._settings.http_retry_wait_seconds_max
                    self._pace.on_rate_limited(gap_seconds_max, asked_at_seconds, self._clock.monotonic_seconds())
                if not is_alone:
                    raise
                await backoff.wait_or_raise(fault, asked_at_seconds)
            except UnauthorizedError as error:
                if token is None or refused is not None or not self._may_have_ended(token, error.status):
                    raise
                refused = token

    def backoff(self) -> Backoff:
        """The patience for one page."""
        return Backoff(self._retry_policy, self._clock, self._pace, self._settings.http_wait_seconds_max)

    def at_once(self, wanted: int) -> int:
        """How many requests may be under way: one for a host that has asked for patience, no more than its window has left."""
        return self._pace.at_once(self._clock, wanted)

    @property
    def granted(self) -> frozenset[str]:
        """The token that a grant gave, if it has."""
        return frozenset({self._accepted} if self._accepted else ())

    def spoken(self) -> frozenset[str]:
        """The secrets that requests carry, in every form in which a source may say them back."""
        return self._credentials.spoken | ({self._accepted} if self._accepted else set()) | self._cookies.values()

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._http.aclose()

    def _may_have_ended(self, token: str, status: int) -> bool:
        """Whether a token may be refused because its time is over; a 403 for one that is new is about what it may do."""
        return status == 401 or token == self._accepted or (self._tokens is not None and not self._tokens.is_new)

    async def _turn(self, label: str, url: str) -> None:
        """Wait until the host may be asked again; a wait that is too long is the retry's."""
        wait_seconds = self._pace.held_seconds(self._clock)
        if wait_seconds > self._settings.http_retry_wait_seconds_max:
            raise HostPausedError(
                Reason.SOURCE_UNAVAILABLE,
                f"{self._host} was not asked, since its rate limit is used up",
                retry_after_seconds=wait_seconds,
            )
        asked_at_seconds = self._clock.monotonic_seconds()
        async with self._turns:
            await self._pace.wait_for_slot(self._clock, self._per_second_max, self._moved)
        self._instruments.host_waited(self._clock.monotonic_seconds() - asked_at_seconds)

    async def _once(self, request: PageRequest, label: str, token: str | None) -> Answer:
        source = f"{label} of {urls.redacted(request.url)}"
        try:
            async with asyncio.timeout(self._settings.http_timeout_seconds):
                return await self._follow(request, label, token)
        except (TimeoutError, httpx.TimeoutException) as error:
            self._instruments.source_failed(is_timeout=True)
            raise self._timed_out(error, source) from error
        except httpx.RemoteProtocolError as error:
            self._instruments.source_failed(is_timeout=False)
            raise RetryableError(Reason.SOURCE_UNAVAILABLE, f"{source} broke off, or it does not speak HTTP") from error
        except httpx.TransportError as error:
            self._instruments.source_failed(is_timeout=False)
            raise RetryableError(Reason.SOURCE_UNAVAILABLE, f"{source}: the connection failed or was reset") from error

    def _timed_out(self, error: Exception, source: str) -> RetryableError:
        settings = self._settings
        what, setting, seconds = "was not whole", "TIMEOUT", settings.http_timeout_seconds
        if isinstance(error, httpx.ConnectTimeout):
            what, setting, seconds = (
                "could not be connected to",
                "CONNECT_TIMEOUT",
                settings.http_connect_timeout_seconds,
            )
        elif isinstance(error, httpx.TimeoutException):
            what, setting, seconds = "sent nothing", "READ_TIMEOUT", settings.http_read_timeout_seconds
        return RetryableError(
            Reason.SOURCE_UNAVAILABLE,
            f"{source} {what} within {min(seconds, settings.http_timeout_seconds):g} seconds "
            f"(TECHAURA_SYNC_HTTP_{setting}_SECONDS)",
        )

    async def _follow(self, request: PageRequest, label: str, token: str | None) -> Answer:
        method, url, content = request.method, request.url, request.content
        for _ in range(_REDIRECTS_MAX + 1):
            if urls.origin(url) != self._origin:
                raise _elsewhere(self._origin, url)
            sent_at_seconds = self._clock.monotonic_seconds()
            response = await self._http.send(self._built(method, url, content, token, request.conditions), stream=True)
            self._instruments.source_answered(response.status_code, self._clock.monotonic_seconds() - sent_at_seconds)
            for cookie in response.headers.get_list("set-cookie"):
                self._cookies.take(cookie, url, self._clock.now())
            try:
                answered = self._headers_of(response, f"{label} of {urls.redacted(url)}")
                if response.status_code not in _REDIRECTS:
                    answer = await self._read(response, answered, f"{label} of {urls.redacted(url)}", request, token)
                    return replace(answer, url=url)
            finally:
                await response.aclose()
            # 303 asks for GET, the others keep the method (RFC 9110, 15.4).
            if response.status_code == 303:
                method, content = "GET", None
            url = urls.followed(url, answered.get("location", ""), self._credentials.query)
        raise FatalError(
            Reason.SOURCE_REFUSED,
            f"{urls.redacted(url)} redirects more than {_REDIRECTS_MAX} times, with the cookies that it sets",
        )

    def _built(
        self, method: str, url: str, content: bytes | None, token: str | None, conditions: Mapping[str, str]
    ) -> httpx.Request:
        headers = self._headers if content is None else self._body_headers
        cookies = self._cookies.header(url, headers["cookie"][1] if "cookie" in headers else "")
        if token is not None or conditions or content is not None or cookies:
            headers = headers | {name.lower(): (name, value) for name, value in conditions.items()}
            if token is not None:
                headers["authorization"] = ("Authorization", f"Bearer {token}")
            if cookies:
                headers["cookie"] = ("Cookie", cookies)
            if content is not None:
                headers["content-length"] = ("Content-Length", str(len(content)))
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.values()]
        return request_to(method, urls.with_parameters(url, self._credentials.query), raw, content)

    def _headers_of(self, response: httpx.Response, source: str) -> dict[str, str]:
        decoded: dict[str, str] = {}
        size_bytes = 0
        for raw_name, raw_value in [*response.headers.raw, *response.extensions["location"]]:
            size_bytes += len(raw_name) + len(raw_value)
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            decoded[name] = f"{decoded[name]}, {value}" if name in decoded else value
        if size_bytes > self._settings.http_header_bytes_max:
            raise FatalError(
                Reason.SOURCE_MALFORMED,
                f"{source} answered more than {self._settings.http_header_bytes_max} bytes of headers "
                "(TECHAURA_SYNC_HTTP_HEADER_BYTES_MAX)",
                category=Category.PARSING,
            )
        return decoded

    async def _read(
        self,
        response: httpx.Response,
        headers: Mapping[str, str],
        source: str,
        request: PageRequest,
        token: str | None,
    ) -> Answer:
        status = response.status_code
        self._note_pace(status, headers)
        if status >= 400 or status == 202:
            raise await self._refused(response, headers, source, token)
        if status == 304 and request.conditions:
            return Answer(status, headers, b"")
        if not 200 <= status < 300:
            raise FatalError(
                Reason.SOURCE_REFUSED, f"{source} answered {status}; check the URL, the method and the parameters"
            )
        if status == 206 and headers.get("content-range", "").strip().lower().startswith("bytes"):
            raise FatalError(Reason.SOURCE_REFUSED, f"{source} answered a part of itself (206) that was not asked for")
        body = await read_body(self._noted(response.aiter_raw()), headers, self._settings.http_page_bytes_max, source)
        tells_end = (
            "content-length" in headers
            or "transfer-encoding" in headers
            or response.extensions["http_version"] not in (b"HTTP/1.0", b"HTTP/1.1")
        )
        return Answer(status, headers, body, tells_end=tells_end)

    async def _refused(
        self, response: httpx.Response, headers: Mapping[str, str], source: str, token: str | None
    ) -> SyncError:
        """The error for a response that is no page; what it asks for is noted."""
        body = await self._beginning(response, headers)
        words = words_of(body, self.spoken() | ({token} if token else set()), headers)
        error = refusal(response.status_code, headers, words, body, self._clock.now(), source, self._credentials.hint)
        if isinstance(error, RateLimitedError) and error.retry_after_seconds:
            self._pace.hold(self._clock, min(error.retry_after_seconds, self._settings.http_wait_seconds_max))
        return error

    async def _beginning(self, response: httpx.Response, headers: Mapping[str, str]) -> bytes:
        """The beginning of a body that is no page; nothing of one that does not come soon."""
        try:
            async with asyncio.timeout(_WORDS_SECONDS_MAX):
                return await read_beginning(response.aiter_raw(), headers, WORDS_BYTES_MAX)
        except (TimeoutError, httpx.TransportError):
            return b""

    def _note_pace(self, status: int, headers: Mapping[str, str]) -> None:
        if status < 400 and status != 202:
            self._pace.on_success()
        window = window_of(headers, self._clock.now())
        self._pace.left = window.left
        if window.pause_seconds:
            self._pace.hold(self._clock, window.pause_seconds)

    async def _noted(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The chunks of a body, each a sign that the source is slow and not hung."""
        async for chunk in chunks:
            self._moved()
            yield chunk


def _merged(groups: list[Mapping[str, str]]) -> dict[str, tuple[str, str]]:
    """Headers by their name in lower case; a later group wins over an earlier one."""
    return {name.lower(): (name, value) for group in groups for name, value in group.items()}


def _elsewhere(origin: tuple[str, str, int], url: str) -> FatalError:
    return FatalError(
        Reason.SOURCE_REFUSED,
        f"the source on {origin[1]} points to {urls.redacted(url)}; only its own scheme, host and port are asked, "
        "because requests carry its secrets. Use the new address as the source if it is right",
    )
