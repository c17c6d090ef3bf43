"""Plans how a run's rows are mapped, identified and loaded."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db.records import LoadSpec, Run
from db.repositories.content import first_row_number
from server.core.config import Settings
from server.pipeline.hashing import mark_values
from server.pipeline.mapping import plan_mapping
from server.pipeline.plan import IdentityRule, MappingPlan
from server.sources.source_type import MappingRequest
from server.sources.write_options import DEFAULT_WRITE_OPTIONS, WriteOptions
from server.targets.registry import find_target

ROW_NUMBER_NOTICE: Final = (
    "rows of this source already stand in the table as row_<n>: that numbering is kept, so a line inserted in the middle "
    "shifts the rows after it; map external_id to give rows an identity of their own"
)

LOCAL_INFILE_NOTICE: Final = (
    "the database server does not allow LOAD DATA LOCAL (local_infile is off): rows that have to be compared with the "
    "table go in by plain INSERT statements, which is slower; switch local_infile on to load faster"
)


def plan_for(
    request: MappingRequest,
    columns: tuple[str, ...],
    *,
    source_type: str,
    source_identifier: str,
    row_number_base: int | None = None,
) -> MappingPlan:
    """The mapping of a run.

    Args:
        columns: the source's column names.
        row_number_base: number of the first record where the source's rows stand as row_<n>, else None.

    Raises:
        InvalidRequestError: INVALID_MAPPING.
    """
    target = find_target(request.target)
    every = {"source_type": source_type, "source_identifier": source_identifier}
    constants = {name: every[name] for name in target.constants} | dict(request.constants)

    def plan(identity: IdentityRule | None) -> MappingPlan:
        return plan_mapping(
            target,
            columns,
            request.columns,
            constants,
            identity=identity,
            row_number_base=row_number_base if row_number_base is not None else 1,
            numbers=request.numbers,
            null_tokens=request.null_tokens,
            strip_text=request.strip_text,
            aliases=request.aliases,
            checked_json=request.checked_json,
        )

    made = plan(None)
    return plan("row_number") if made.identity == "content" and row_number_base is not None else made


async def row_number_base(connection: AsyncConnection, request: MappingRequest, run: Run) -> int | None:
    """The number of the first record where rows of this source stand as row_<n> (0 or 1), else None."""
    if find_target(request.target).identity_column is None:
        return None
    return await first_row_number(connection, run.source_type, run.source_identifier)


def load_spec(
    plan: MappingPlan,
    settings: Settings,
    source_identifier: str,
    write: WriteOptions = DEFAULT_WRITE_OPTIONS,
    source_modified_at: datetime | None = None,
    seen_by: tuple[int, int] | None = None,
) -> LoadSpec:
    """How the prepared rows of a plan go into its target; see LoadSpec for the arguments."""
    target = plan.target
    constants = {
        name: value
        for name, value in plan.constants.items()
        if name in target.constants or (name in target.by_name and name not in plan.source_columns)
    }
    from_rows = {*plan.source_columns, target.identity_column}
    if plan.extra_columns:
        from_rows.add(target.extras_column)
    columns = tuple(column.name for column in target.columns if column.name in from_rows)
    name = re.split(r"[/\\]", source_identifier)[-1]
    return LoadSpec(
        table=target.name,
        columns=columns,
        constants=constants,
        key=target.key,
        synced_at_column=target.synced_at_column,
        touch_after_hours=settings.touch_after_hours,
        audit_reason=f"sync of {name}" if target.audited else None,
        availability_column=target.availability_column,
        conflict_policy=write.conflict_policy,
        source_modified_at=source_modified_at,
        marked_columns=target.marked_columns,
        mark_values=mark_values,
        ordered=target.ordered,
        seen_by=seen_by,
    )
