"""Options that every source type has: where rows go, and how they are written; protos/techaura/sync/v1/sync_spec.proto."""

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

    target_table: str = Field("content_index", min_length=1, max_length=64)
    content_type: ContentType = "music"
    mode: SyncMode = "upsert"
    conflict_policy: ConflictPolicy = "source_wins"
    mirror_gone_ratio_max: float = Field(0.2, ge=0, le=1)
    mirror_allow_empty: bool = False

    @property
    def constants(self) -> dict[str, str]:
        """Columns of the target table that the options fill in every row that brings no value of its own."""
        target = TARGETS.get(self.target_table)
        return {"content_type": self.content_type} if target is not None and "content_type" in target.by_name else {}


DEFAULT_WRITE_OPTIONS: Final = WriteOptions.model_validate({})
