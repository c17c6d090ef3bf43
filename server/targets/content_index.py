"""content_index: one row per song, video, film or game. The bot reads it; every row belongs to one source."""

from server.targets.base import Target, TargetColumn

CONTENT_TYPES = ("music", "video", "movie", "game", "other")

CONTENT_INDEX = Target(
    name="content_index",
    columns=(
        TargetColumn("content_type", "text", length_max=50, required=True, default="music", choices=CONTENT_TYPES),
        TargetColumn("title", "text", length_max=500, required=True),
        TargetColumn("artist", "text", length_max=255),
        TargetColumn("genre", "text", length_max=100),
        TargetColumn("external_id", "text", length_max=255),
        TargetColumn("metadata", "json"),
        TargetColumn("is_available", "boolean", default="1"),
    ),
    constants=("source_type", "source_identifier"),
    key=("source_type", "source_identifier", "external_id"),
    content_key=("content_type", "title", "artist"),
    identity_column="external_id",
    extras_column="metadata",
    availability_column="is_available",
    synced_at_column="last_synced_at",
)
