"""Makes a page of a response: its items, what it says of other pages, and whether it can be taken for a page at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from server.core.config import Settings
from server.core.errors import FatalError, RetryableError
from server.core.reasons import Category, Reason
from server.core.reject_kinds import RejectKind
from server.sources.api import urls
from server.sources.api.http.client import Answer
from server.sources.api.http.source_words import is_html, kind_of, said_in
from server.sources.api.items.error_flags import says_error
from server.sources.api.items.json_page import Page
from server.sources.api.options import ApiOptions
from server.sources.api.page_format import format_of, read_answer
from server.sources.api.paging.choose import hint_places
from server.sources.api.paging.hints import PageHints, read_hints
from server.sources.exact_json.strict_json import JsonRefusedError

_HTML_STEP: Final = (
    "check that the URL is that of the API and not of a page for people; where it asks for a login, set options.auth or the "
    "header that the API wants"
)
_KIND_STEP: Final = (
    "check the URL, and ask the source for JSON, JSON lines or CSV, by a parameter or options.headers.Accept"
)
_JSON_STEP: Final = "look at what the source delivers; set options.dataPath to the items, or have its content corrected"
_NO_DATA: Final = frozenset({RejectKind.NOT_JSON, RejectKind.BAD_ENCODING})


class PassingFaultError(RetryableError):
    """What was answered is no page; the same request may well get one."""


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A page, by itself.

    Args:
        page: its items and what stands around them.
        signals: what it says of other pages.
        headers: of the response.
        size_bytes: of the body.
        is_part: whether the source calls it a part (206).
        is_untold: whether it could have broken off without a sign: lines, in a response that does not tell its length.
        format: how the body was read, such as `json`; empty where there was none.
        url: that answered.
    """

    url: str
    page: Page = field(default_factory=Page)
    signals: PageHints = field(default_factory=PageHints)
    headers: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    format: str = ""
    is_part: bool = False
    is_untold: bool = False


class PageParser:
    """Parses the responses of one source.

    Args:
        spoken: the secrets that no text may show.
    """

    def __init__(self, options: ApiOptions, settings: Settings, spoken: Callable[[], Collection[str]]) -> None:
        self._options = options
        self._settings = settings
        self._spoken = spoken
        self._places = hint_places(options)

    async def parse(self, answer: Answer, label: str) -> ParsedPage:
        """The page that a response holds.

        Args:
            label: names the page in errors, such as `page 7 of https://…`.

        Raises:
            PassingFaultError: SOURCE_UNAVAILABLE, the response broke off, or has no items and says that there was an error.
            RetryableError: SOURCE_LIMIT_REACHED.
            FatalError: SOURCE_MALFORMED.
        """
        page, read_as = Page(), ""
        if answer.status != 204:
            page, read_as = await self._read(answer, label), format_of(answer, self._options)
        signals = read_hints(page.envelope, answer.headers, self._places)
        is_part = answer.status == 206
        # JSON tells its own end.
        is_untold = read_as in ("ndjson", "csv") and not answer.tells_end
        return ParsedPage(answer.url, page, signals, answer.headers, len(answer.body), read_as, is_part, is_untold)

    async def _read(self, answer: Answer, label: str) -> Page:
        # It would pass for CSV, and each of its lines for an item.
        if is_html(answer.body):
            raise self._no_data(answer, label)
        try:
            page = await read_answer(answer, self._options, self._settings)
        except JsonRefusedError as error:
            if error.kind == "cut_off":
                raise PassingFaultError(
                    Reason.SOURCE_UNAVAILABLE, f"the answer to {label} broke off: {error.message}"
                ) from error
            raise self._no_data(answer, label, error) from error
        items_max = self._settings.http_page_items_max
        if len(page.values) > items_max:
            raise RetryableError(
                Reason.SOURCE_LIMIT_REACHED,
                f"{label} has {len(page.values)} items, more than TECHAURA_SYNC_HTTP_PAGE_ITEMS_MAX ({items_max}) allows; "
                "ask for smaller pages, or raise the limit",
                category=Category.PROCESSING,
            )
        if (not page.values or page.unless_known is not None) and says_error(page.envelope):
            words = said_in(page.envelope, self._spoken())
            said = f": {words}" if words else ""
            raise PassingFaultError(
                Reason.SOURCE_UNAVAILABLE, f"{label} has no items and says that there was an error{said}"
            )
        return page

    def malformed(self, refusal: JsonRefusedError, label: str) -> FatalError:
        """The error for a page whose items are not where they are looked for."""
        return FatalError(
            Reason.SOURCE_MALFORMED,
            f"the answer to {label} cannot be read: {refusal.message}",
            category=Category.PARSING,
            next_step=_JSON_STEP,
        )

    def _no_data(self, answer: Answer, label: str, error: JsonRefusedError | None = None) -> FatalError:
        """The error for a body that cannot be read; what is no data at all is called by its name."""
        kind = "" if error and error.kind not in _NO_DATA else kind_of(answer.body, answer.media_type, self._spoken())
        if not kind:
            next_step = _JSON_STEP if format_of(answer, self._options) != "csv" else None
            kind = error.message if error else ""
        else:
            next_step = _HTML_STEP if kind.startswith("it is HTML") else _KIND_STEP
            kind += f", called {answer.media_type}" if answer.media_type and not kind.startswith("it is HTML") else ""
        return FatalError(
            Reason.SOURCE_MALFORMED,
            f"the answer to {label} cannot be read: {kind}",
            category=Category.PARSING,
            next_step=next_step,
        )


def label_of(number: int, url: str) -> str:
    """How errors name a page."""
    return f"page {number} of {urls.redacted(url)}"
