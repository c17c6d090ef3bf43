"""Options that every source type has: where rows go, and how they are written."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.targets.registry import TARGETS

ConflictPolicy = Literal["source_wins", "keep_local", "newest_wins", "report"]
SyncMode = Literal["upsert", "mirror"]

ContentType = Literal["music", "video", "movie", "game", "other"]


class WriteOptions(BaseModel):
    """How rows are written; the options of a source type inherit these fields."""

    model_config = ConfigDict(frozen=True)

    target_table: str = Field(
        "content_index", min_length=1, max_length=64, description="Table that the rows go to; at most 64 characters."
    )
    content_type: ContentType = Field(
        "music", description="Value of content_index.content_type for rows that bring none of their own."
    )
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

    @property
    def constants(self) -> dict[str, str]:
        """Columns of the target table that the options fill in every row that brings no value of its own."""
        target = TARGETS.get(self.target_table)
        return {"content_type": self.content_type} if target is not None and "content_type" in target.by_name else {}


DEFAULT_WRITE_OPTIONS: Final = WriteOptions.model_validate({})
