"""What every source type must keep to when it is read (server/sources/contract.py); one line in SAMPLES tests a new one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from server.core.config import Settings
from server.core.errors import InvalidRequestError, SyncError
from server.core.secret_box import SecretBox
from server.sources.contract import DIGEST_CHARS_MAX, SourceBatch, SourceContext, SourceReader
from server.sources.source_type import FIELDS_MAX, Source
from tests.conformance.samples import RECORDS, REJECTED, SAMPLES, Sample
from tests.sources.csv.reading import StillClock
from tests.support.service import TEST_KEY


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sample]:
    """Each source type's own."""
    with SAMPLES[request.param](tmp_path) as made:
        yield made


class Reading:
    """Opens the sample's source as a run does."""

    def __init__(self, sample: Sample, folder: Path) -> None:
        settings = Settings(data_roots=str(folder)).model_copy(update=dict(sample.settings))
        self.sample = sample
        self.secrets: list[str] = []
        self.context = SourceContext(settings, StillClock(), secret_seen=self.secrets.append)

    def source(self, identifier: str | None = None, options: Mapping[str, Any] | None = None) -> Source:
        given = self.sample.options if options is None else options
        return self.sample.kind.load(identifier or self.sample.identifier, given, True)

    @asynccontextmanager
    async def opened(
        self, identifier: str | None = None, options: Mapping[str, Any] | None = None
    ) -> AsyncIterator[SourceReader]:
        box = SecretBox(TEST_KEY)
        reader = await self.source(identifier, options).open(
            self.context, lambda secret, url: box.reveal(secret, url, {})
        )
        try:
            yield reader
        finally:
            await reader.close()
            await reader.close()

    async def batches(self, after: Mapping[str, Any] | None = None, first_batch_no: int = 1) -> list[SourceBatch]:
        async with self.opened() as reader:
            return [batch async for batch in reader.batches(after, first_batch_no)]


@pytest.fixture
def reading(sample: Sample, tmp_path: Path) -> Reading:
    return Reading(sample, tmp_path)


def told(batch: SourceBatch) -> tuple[Any, ...]:
    """All that a batch says."""
    raw = [batch.raw_text(index) for index in range(batch.frame.height)]
    columns = [series.to_list() for series in (batch.lines, batch.record_nos, batch.byte_offsets)]
    return batch.batch_no, batch.frame.to_dicts(), columns, batch.rejects, dict(batch.position), raw


async def test_each_record_is_a_row_or_a_reject_in_batches_without_a_gap(reading: Reading) -> None:
    batches = await reading.batches()
    assert len(batches) > 2
    assert [batch.batch_no for batch in batches] == list(range(1, len(batches) + 1))
    rejects = [reject for batch in batches for reject in batch.rejects]
    numbers = [number for batch in batches for number in batch.record_nos]
    assert (len(numbers), len(rejects)) == (RECORDS - REJECTED, REJECTED)
    assert numbers == sorted(set(numbers)) and set(numbers) <= set(range(1, RECORDS + 1))


async def test_values_are_text_and_each_row_says_where_it_stands(reading: Reading) -> None:
    async with reading.opened() as reader:
        columns, total = list(reader.info.columns), reader.info.bytes_total
        done = 0
        async for batch in reader.batches(None, 1):
            assert batch.frame.columns == columns
            assert set(batch.frame.dtypes) == {pl.String()}
            assert len(batch.lines) == len(batch.record_nos) == batch.frame.height
            assert len(batch.byte_offsets) in (0, batch.frame.height)
            assert all(isinstance(batch.raw_text(index), str) for index in range(batch.frame.height))
            assert all(reject.raw and reject.message and reject.line > 0 for reject in batch.rejects)
            assert {reject.category for reject in batch.rejects} <= {"parsing", "validation"}
            assert batch.bytes_done >= done and (not total or batch.bytes_done <= total)
            done = batch.bytes_done
        assert done == total or not total


async def test_two_readings_of_one_content_are_the_same(reading: Reading) -> None:
    first, second = await reading.batches(), await reading.batches()
    assert [told(batch) for batch in first] == [told(batch) for batch in second]
    async with reading.opened() as reader, reading.opened() as again:
        digest = await reader.content_digest()
        assert (digest, reader.info.fingerprint) == (await again.content_digest(), again.info.fingerprint)
        assert len(digest) <= DIGEST_CHARS_MAX and len(reader.info.fingerprint) <= DIGEST_CHARS_MAX


async def test_a_reading_goes_on_after_each_position_with_just_what_is_left(reading: Reading) -> None:
    batches = await reading.batches()
    for index, batch in enumerate(batches, start=1):
        position = json.loads(json.dumps(batch.position))
        rest = await reading.batches(position, index + 1)
        assert [told(one) for one in rest] == [told(one) for one in batches[index:]]


async def test_a_source_that_breaks_off_ends_with_an_error_that_names_it(sample: Sample, reading: Reading) -> None:
    identifier, options = sample.broken()
    rows = 0
    with pytest.raises(SyncError) as caught:  # noqa: PT012 - it may break off as early as it is opened
        async with reading.opened(identifier, options) as reader:
            async for batch in reader.batches(None, 1):
                rows += batch.frame.height + len(batch.rejects)
    assert rows < RECORDS
    assert caught.value.reason and caught.value.message


def descriptors_open() -> int:
    """How many files and connections this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_reader_that_is_left_in_the_middle_leaves_nothing_behind(reading: Reading) -> None:
    await reading.batches()
    tasks, descriptors = len(asyncio.all_tasks()), descriptors_open()
    rounds = 12
    for _round in range(rounds):
        async with reading.opened() as reader, aclosing(reader.batches(None, 1)) as batches:
            assert await anext(aiter(batches))
    assert len(asyncio.all_tasks()) == tasks
    # A loopback server of the sample may hold its end of a connection a moment longer.
    assert descriptors_open() < descriptors + rounds


async def test_a_missing_source_is_told_before_a_run(sample: Sample, reading: Reading) -> None:
    if sample.missing is None:
        pytest.skip("this source type cannot tell without the network, or has no such thing")
    with pytest.raises(InvalidRequestError) as caught:
        await reading.source(sample.missing).check(reading.context)
    assert caught.value.reason == "SOURCE_NOT_FOUND"


async def test_a_preview_shows_the_beginning(sample: Sample, reading: Reading) -> None:
    box = SecretBox(TEST_KEY)
    found = await reading.source().preview(reading.context, lambda secret, url: box.reveal(secret, url, {}), 5)
    assert 0 < len(found.samples) <= 5
    assert 0 < len(found.fields) <= FIELDS_MAX
    assert found.batch is not None and found.batch.batch_no == 1
    assert not found.is_whole
    shown = json.dumps([found.samples, found.fields, dict(found.detected), found.notices])
    assert not [secret for secret in sample.secrets if secret in shown]


def test_options_are_checked_by_their_names(sample: Sample, reading: Reading) -> None:
    for field, options in {"options.nothingLikeIt": {**sample.options, "nothingLikeIt": 1}, **sample.wrong}.items():
        with pytest.raises(InvalidRequestError) as caught:
            reading.source(options=options)
        assert caught.value.reason in ("INVALID_OPTION", "INVALID_MAPPING")
        assert caught.value.field is not None
        # An option that nobody knows may be told by the object that it stands in.
        assert caught.value.field == field or field.startswith(f"{caught.value.field}.")


def test_null_is_the_same_as_leaving_an_option_out(sample: Sample, reading: Reading) -> None:
    given = {"mode": None, "conflictPolicy": None, "targetTable": None, "contentType": None}
    assert reading.source(options={**sample.options, **given}).mapping == reading.source().mapping


def test_a_source_is_the_same_in_each_spelling_and_another_is_not(sample: Sample, reading: Reading) -> None:
    def identity(identifier: str) -> str:
        return sample.kind.identity(identifier, reading.context.settings)

    assert {identity(spelling) for spelling in sample.spellings} == {identity(sample.identifier)}
    others = {identity(identifier) for identifier, _options in sample.tables.values()}
    assert identity(sample.identifier) not in others


async def test_secrets_are_sealed_and_told(sample: Sample, reading: Reading) -> None:
    sealed = json.dumps(SecretBox(TEST_KEY).seal(sample.options, sample.kind.secret_places()))
    assert not [secret for secret in sample.secrets if secret in sealed]
    await reading.batches()
    assert set(sample.secrets) <= set(reading.secrets)
    with pytest.raises(InvalidRequestError) if sample.secrets else pytest.MonkeyPatch.context():
        # Only the service's own store may hold sealed ones.
        reading.source(options=json.loads(sealed))
    assert reading.sample.kind.load(sample.identifier, json.loads(sealed), False)
