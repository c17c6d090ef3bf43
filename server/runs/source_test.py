"""Tests a source without a run: connects, reads its beginning, maps a few rows. Writes nothing.

Faults are raised as a run would fail with them; the requests of a test are never repeated, and the whole of it has
one time limit. Samples and rows are cut to size and hold no secret of the request. Where the source does not fit its
options, or not wholly, other readings are looked for (reading_search.py) in what is left of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.core.callers import ANYONE, Caller
from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import InvalidRequestError, RetryableError
from server.core.reasons import Reason
from server.core.secret_box import SecretValue
from server.core.texts import escaped
from server.execution.odd_notices import odd_notices
from server.runs.look import ROWS_MAX, Look, Looker
from server.runs.reach import check_reach
from server.runs.reading_search import Search, without_waits
from server.runs.readings import NO_READINGS, Readings, readings_of
from server.runs.request_checks import checked_source
from server.sources.contract import Reject, SourceBatch, SourceContext, SourceMemory
from server.sources.header_advice import RereadableSource
from server.sources.source_type import Reveal
from server.sources.throttle.host_pace import HostPaces

_HEAD_BYTES: Final = 256 * 1024
_HEAD_ROWS: Final = 1000
# The source is there, and other options may fit it.
_ANSWERED: Final = frozenset({Reason.INVALID_OPTION, Reason.INVALID_MAPPING, Reason.SOURCE_MALFORMED})


@dataclass(frozen=True, slots=True)
class Preview:
    """What a test of a source found.

    Args:
        item_count: records that were read, rejected ones included.
        is_whole: whether the source ends there.
        fields: names of the fields that the records have.
        samples: the first records, each as JSON.
        detected: what was found out rather than told.
        rows: target columns and their text, for the first records that can be loaded.
        rejects: of the first records, those that a run would reject.
        notices: what a person should know.
        refusal: why a run would be refused; nothing but `found` is known then.
        found: what other readings bring.
    """

    item_count: int = 0
    is_whole: bool = False
    fields: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    detected: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Mapping[str, str], ...] = ()
    rejects: tuple[Reject, ...] = ()
    notices: tuple[str, ...] = ()
    refusal: InvalidRequestError | None = None
    found: Readings = NO_READINGS


class Previews:
    """Tests sources.

    Args:
        reveal: opens a secret.
        memory, paces: those of runs; a refresh token that a test renews must not be lost.
    """

    def __init__(
        self, settings: Settings, clock: Clock, reveal: Reveal, memory: SourceMemory, paces: HostPaces
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._memory = memory
        self._paces = paces
        self._reveal = reveal
        self._free = asyncio.Semaphore(settings.source_tests_concurrent_max)

    async def test(
        self,
        source_type_name: str,
        source_identifier: str,
        options: Mapping[str, Any],
        *,
        answer_refusal: bool = False,
        caller: Caller = ANYONE,
    ) -> Preview:
        """Look at a source.

        Args:
            answer_refusal: tell in the answer, and not by raising, that the source does not fit the options.
            caller: who asks.

        Raises:
            InvalidRequestError: the request is wrong, the source is not what it should be, or out of the caller's reach.
            RetryableError, FatalError: it cannot be read, as a run would say it.
        """
        _, source = checked_source(source_type_name, source_identifier, options)
        await check_reach(caller, source_type_name, source_identifier, options, self._settings)
        # Only of what can be read again are there other readings to answer with.
        answer_refusal = answer_refusal and isinstance(source, RereadableSource)
        seconds = self._settings.source_test_seconds_max
        try:
            async with asyncio.timeout(seconds) as limit, self._free:
                # Other readings are looked for until then, so that what was found is answered.
                search_until = (limit.when() or 0) - seconds / 8
                return await self._test(source_type_name, source_identifier, options, answer_refusal, search_until)
        except TimeoutError as error:
            raise RetryableError(
                Reason.SOURCE_UNAVAILABLE,
                f"the source was not read within {seconds:g} seconds (TECHAURA_SYNC_SOURCE_TEST_SECONDS_MAX)",
            ) from error

    async def _test(
        self,
        source_type_name: str,
        source_identifier: str,
        options: Mapping[str, Any],
        answer_refusal: bool,
        search_until: float,
    ) -> Preview:
        secrets: list[str] = []

        def reveal(secret: SecretValue, url: str) -> str:
            secrets.append(self._reveal(secret, url))
            return secrets[-1]

        context = SourceContext(
            _for_a_look(self._settings),
            self._clock,
            memory=self._memory,
            paces=self._paces,
            secret_seen=secrets.append,
        )
        looker = Looker(source_type_name, source_identifier, context, reveal)
        try:
            look = await looker.look(options)
        except InvalidRequestError as refusal:
            if not (answer_refusal and refusal.reason in _ANSWERED):
                raise
            return Preview(refusal=refusal, found=await self._readings(looker, options, None, search_until))
        found = await self._readings(looker, options, look, search_until)
        return replace(await _shown(look, secrets, source_type_name), found=found)

    async def _readings(
        self, looker: Looker, asked: Mapping[str, Any], now: Look | None, search_until: float
    ) -> Readings:
        """What other readings of the source bring; what is not tried by then, on the event loop's clock, is left."""
        if now is not None and not isinstance(now.source, RereadableSource):
            return NO_READINGS
        search = Search(without_waits(looker), asked, self._settings.source_test_readings_max)
        try:
            async with asyncio.timeout_at(search_until):
                await search.run(now)
        except TimeoutError:
            search.is_cut = True
        return await asyncio.to_thread(readings_of, search, self._settings, now)


async def _shown(look: Look, secrets: list[str], source_type: str) -> Preview:
    # Imported late, as for runs: it would slow the start down.
    from server.sources.exact_json.json_values import to_text
    from server.sources.redaction import shown_text, without_secrets

    preview, plan = look.preview, look.plan
    rows: tuple[Mapping[str, str], ...] = ()
    rejects: tuple[Reject, ...] = ()
    odd: Sequence[str] = ()
    if preview.batch is not None:
        from server.execution.odd_values import odd_values
        from server.pipeline.prepare import prepare

        prepared = await asyncio.to_thread(prepare, _first(preview.batch), plan)
        if look.prepared is not None:
            prepared = replace(prepared, currencies=look.prepared.currencies)
        odd = odd_notices(
            odd_values(prepared, plan), source_type, is_encoding_doubted="encodingDoubted" in preview.detected
        )
        rows = tuple(
            {name: shown_text(value, secrets, name) for name, value in row.items() if value is not None}
            for row in prepared.rows.select(look.row_names).to_dicts()
        )
        rejects = tuple(replace(one, raw=shown_text(one.raw, secrets)) for one in prepared.rejects[:ROWS_MAX])
    return Preview(
        item_count=look.item_count,
        is_whole=preview.is_whole,
        fields=tuple(without_secrets(name, secrets) for name in preview.fields),
        samples=tuple(shown_text(to_text(sample), secrets) for sample in preview.samples),
        detected=preview.detected,
        rows=rows,
        rejects=rejects,
        notices=tuple(map(escaped, (*preview.notices, *plan.notices, *odd))),
    )


def _for_a_look(settings: Settings) -> Settings:
    """Settings under which the beginning of a source is read once and quickly."""
    return settings.model_copy(
        update={
            "http_retry_attempts_max": 1,
            "http_timeout_seconds": min(settings.http_timeout_seconds, settings.source_test_seconds_max),
            "csv_block_bytes": min(settings.csv_block_bytes, _HEAD_BYTES),
            "batch_rows_max": min(settings.batch_rows_max, _HEAD_ROWS),
        }
    )


def _first(batch: SourceBatch) -> SourceBatch:
    return replace(
        batch,
        frame=batch.frame.head(ROWS_MAX),
        lines=batch.lines.head(ROWS_MAX),
        record_nos=batch.record_nos.head(ROWS_MAX),
        byte_offsets=batch.byte_offsets.head(ROWS_MAX),
        rejects=batch.rejects[:ROWS_MAX],
    )
