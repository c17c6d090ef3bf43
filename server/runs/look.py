"""Reads the beginning of a source with one set of options, as a run of them would: connects, maps, casts, checks.

A test of a source and every reading that it proposes come from here, so that a proposal has been through what a run goes through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from server.core.errors import SyncError
from server.execution.advised_plan import advised_plan
from server.pipeline.plan import MappingPlan
from server.runs.request_checks import checked_source
from server.sources.contract import Reject, SourceContext
from server.sources.source_type import Reveal, Source, SourcePreview

if TYPE_CHECKING:
    from server.pipeline.plan import PreparedBatch

ROWS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What the beginning of a source becomes.

    Args:
        options: as they were given.
        source: of these options.
        preview: what the source holds.
        plan: how it is mapped.
        prepared: the rows; None where the source has no record.
    """

    options: Mapping[str, Any]
    source: Source
    preview: SourcePreview
    plan: MappingPlan
    prepared: PreparedBatch | None

    @property
    def item_count(self) -> int:
        """Records that were read, rejected ones included."""
        batch = self.preview.batch
        return 0 if batch is None else batch.frame.height + len(batch.rejects)

    @property
    def loaded_count(self) -> int:
        """Records that would be loaded."""
        return 0 if self.prepared is None else self.prepared.rows.height

    @property
    def rejects(self) -> tuple[Reject, ...]:
        """Records that would be rejected."""
        return () if self.prepared is None else self.prepared.rejects

    @property
    def row_names(self) -> list[str]:
        """The columns of a row that a person sees."""
        if self.prepared is None:
            return []
        known = self.plan.target.by_name
        return [name for name in self.prepared.rows.columns if name in known or name in self.plan.constants]


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at one source.

    Args:
        source_type, source_identifier: the request's.
        context: what the source is opened with.
        reveal: opens a secret.
    """

    source_type: str
    source_identifier: str
    context: SourceContext
    reveal: Reveal

    def source_of(self, options: Mapping[str, Any]) -> Source:
        """The source with options.

        Raises:
            InvalidRequestError: they are wrong.
        """
        return checked_source(self.source_type, self.source_identifier, options)[1]

    async def look(self, options: Mapping[str, Any]) -> Look:
        """Read its beginning.

        Raises:
            InvalidRequestError: the options are wrong, or the source is not what it should be.
            RetryableError, FatalError: it cannot be read, as a run would say it.
        """
        # Imported late, as for runs: it would slow the start down.
        from server.pipeline.prepare import prepare

        kind, source = checked_source(self.source_type, self.source_identifier, options)
        preview = await source.preview(self.context, self.reveal, ROWS_MAX)
        plan = await advised_plan(
            source, preview.columns, self.context, source_type=kind, source_identifier=self.source_identifier
        )
        batch = preview.batch
        prepared = None if batch is None else await asyncio.to_thread(prepare, batch, plan)
        return Look(options, source, preview, plan, prepared)

    async def tried(self, options: Mapping[str, Any]) -> Look | None:
        """The same; None where the source cannot be read so."""
        try:
            return await self.look(options)
        except SyncError:
            return None
