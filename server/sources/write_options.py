"""Options that every source type has: what becomes of rows that the table has otherwise, or that the source has no more."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

ConflictPolicy = Literal["source_wins", "keep_local", "newest_wins", "report"]
SyncMode = Literal["upsert", "mirror"]


class WriteOptions(BaseModel):
    """How rows are written; the options of a source type inherit these fields."""

    model_config = ConfigDict(frozen=True)

    mode: SyncMode = Field(
        "upsert",
        description="`upsert` writes what the source has. `mirror` also switches off rows that the source has no more: "
        "is_available = false, or is_active = false for catalog items; they are switched on again when they come back.",
    )
    conflict_policy: ConflictPolicy = Field(
        "source_wins",
        description="Who wins where someone edited a column in the table since the last sync: `source_wins`; `keep_local` "
        "keeps what was edited; `newest_wins` keeps it when the row's updated_at is later than the file's time of change "
        "(an API's items count as new), or when the edit left updated_at as it was (then it is listed too); `report` keeps "
        "it and lists it among the run's errors. Each is counted as a conflict.",
    )
    mirror_gone_ratio_max: float = Field(
        0.2,
        ge=0,
        le=1,
        description="With mirror: the share of the source's active rows, 0 to 1, that may be gone; with more, nothing is "
        "switched off and the run fails.",
    )
    mirror_allow_empty: bool = Field(
        False, description="With mirror: whether a source without any row may switch off everything."
    )


DEFAULT_WRITE_OPTIONS: Final = WriteOptions.model_validate({})
