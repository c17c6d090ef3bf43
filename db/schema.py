"""Every table that the service reads or writes.

The first four belong to the contract (the bot owns them too): their contract columns come first and are never changed;
below the mark stand columns of our own, each nullable or with a default, so that a row written with only the contract's
columns stays valid. The rest are ours. Migrations bring a database here; a test compares the two. All tables stand in one file,
long as it is: whoever looks for a column, or for what refers to it, reads it from top to bottom.

Times of day are UTC. Columns that end in `_ms` hold milliseconds since 1970 in the database's own clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

# Search columns take the contract's case-insensitive collation, keys a binary one: `a` and `A` are two songs.
_TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_unicode_ci",
}
_ID = Integer().with_variant(mysql.INTEGER(unsigned=True), "mysql", "mariadb")
_BIG = BigInteger()
_TIME = DateTime().with_variant(mysql.TIMESTAMP(), "mysql", "mariadb")
_NOW = text("CURRENT_TIMESTAMP")
_MARKS = "column_marks"


def _key_text(length: int) -> String:
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def _digest() -> String:
    return String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


def _columns_of_loading() -> tuple[Column[Any], ...]:
    """What the loaders keep in a table that rows of sources go into."""
    return (
        Column("created_at", _TIME, server_default=_NOW),
        Column("updated_at", _TIME, server_default=_NOW),
        # ---- ours
        Column("row_hash", _BIG),
        # What the last sync left in each column; see db/loaders/column_hashes.py.
        Column(_MARKS, String(255)),
        # The run of a mirror that switched the row off, so that only such a row is switched on when it comes back.
        Column("deactivated_by_run", _ID),
    )


def _read_json(value: Any) -> Any:
    """JSON as what it says; a text that is none, or more than Python takes, as the text itself."""
    if not isinstance(value, str | bytes):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value if isinstance(value, str) else value.decode("utf-8", "replace")


class _LenientJson(mysql.JSON):
    """The database's JSON, read by `_read_json`: its own rules are not Python's, and an adopted column may have none."""

    def result_processor(self, _dialect: Dialect, _coltype: object) -> Callable[[Any], Any]:
        return _read_json


class _BotJson(TypeDecorator[Any]):
    """JSON that another program may have written: what is none is judged by whoever needs it."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, which takes any text for JSON."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else _LenientJson(none_as_null=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """To text, where the database has no JSON."""
        is_text = dialect.name == "sqlite" and value is not None
        return json.dumps(value, ensure_ascii=False) if is_text else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """From text, where the database has no JSON."""
        return _read_json(value) if dialect.name == "sqlite" else value


metadata = MetaData()

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("source_type", String(50), nullable=False),
    Column("source_identifier", String(255), nullable=False),
    Column("status", String(50), nullable=False),
    Column("started_at", _TIME),
    Column("completed_at", _TIME),
    Column("items_processed", Integer, server_default=text("0")),
    Column("items_failed", Integer, server_default=text("0")),
    Column("items_skipped", Integer, server_default=text("0")),
    Column("sync_metadata", _BotJson()),
    Column("error_message", Text),
    Column("created_at", _TIME, server_default=_NOW),
    Column("updated_at", _TIME, server_default=_NOW),
    # ---- ours
    Column("revision", _BIG, nullable=False, server_default=text("0")),
    Column("retry_count", Integer, nullable=False, server_default=text("0")),
    Column("restart_no", Integer, nullable=False, server_default=text("0")),
    Column("lease_owner", String(100)),
    Column("lease_epoch", _BIG, nullable=False, server_default=text("0")),
    Column("lease_expires_at_ms", _BIG),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("0")),
    Column("source_fingerprint", String(255)),
    Column("rows_read", _BIG, nullable=False, server_default=text("0")),
    Column("rows_inserted", _BIG, nullable=False, server_default=text("0")),
    Column("rows_updated", _BIG, nullable=False, server_default=text("0")),
    Column("rows_unchanged", _BIG, nullable=False, server_default=text("0")),
    Column("rows_rejected", _BIG, nullable=False, server_default=text("0")),
    Column("rows_skipped", _BIG, nullable=False, server_default=text("0")),
    Column("bytes_done", _BIG, nullable=False, server_default=text("0")),
    Column("bytes_total", _BIG, nullable=False, server_default=text("0")),
    Column("error_reason", String(64)),
    Column("error_category", String(32)),
    Column("error_retryable", Boolean),
    Column("notices", JSON(none_as_null=True)),
    Column("detected", JSON(none_as_null=True)),
    Column("rows_deactivated", _BIG, nullable=False, server_default=text("0")),
    # With mode mirror: rows that were switched on before the run wrote any.
    Column("active_before", _BIG),
    # Of the whole content, so that a file that was only touched, or copied, is known again.
    Column("source_digest", String(64)),
    # The run whose reading this one repeats, because the source was the same: nothing was read.
    Column("same_as_run_id", _ID),
    # Digests: of what the source is, however it was spelled, and of the options. A row of the bot's gets them when a
    # worker or a trigger sees it.
    Column("source_key", _digest()),
    Column("options_digest", _digest()),
    Column("paused", Boolean, nullable=False, server_default=text("0")),
    Column("not_before_ms", _BIG),
    Column("takeover_count", Integer, nullable=False, server_default=text("0")),
    Column("takeover_batches", Integer, nullable=False, server_default=text("0")),
    Column("error_next_step", String(500)),
    Column("sync_schedule_id", Integer),
    # The status under which sync_run_counts has the run; 0 while it has not. See db/repositories/run_counts.py.
    Column("counted_as", Integer, nullable=False, server_default=text("0")),
    # For how long it was given back because its source wanted to be asked later.
    Column("waited_ms", _BIG, nullable=False, server_default=text("0")),
    Index("idx_sync_runs_source_type", "source_type"),
    Index("idx_sync_runs_status", "status"),
    Index("idx_sync_runs_created_at", "created_at"),
    Index("idx_sync_runs_source_type_status", "source_type", "status"),
    Index("idx_sync_runs_source_key_status", "source_key", "status"),
    Index("idx_sync_runs_source_key_completed_at", "source_key", "completed_at"),
    Index("idx_sync_runs_counted_as_status", "counted_as", "status"),
    **_TABLE_OPTIONS,
)

sync_errors = Table(
    "sync_errors",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("sync_run_id", _ID, ForeignKey("sync_runs.id", ondelete="CASCADE", onupdate="CASCADE"), nullable=False),
    Column("error_type", String(100), nullable=False),
    Column("error_code", String(50)),
    Column("error_message", Text, nullable=False),
    Column("error_details", Text),
    Column("item_identifier", String(255)),
    Column("item_data", JSON(none_as_null=True)),
    Column("is_retryable", Boolean, server_default=text("1")),
    Column("created_at", _TIME, server_default=_NOW),
    # ---- ours
    Column("restart_no", Integer, nullable=False, server_default=text("0")),
    Column("batch_no", Integer),
    Column("line_no", _BIG),
    Column("byte_offset", _BIG),
    Column("column_name", String(255)),
    Index("idx_sync_errors_sync_run_id", "sync_run_id"),
    # Not the run first: MySQL and MariaDB would drop the index that a foreign key of an adopted table brought.
    Index("idx_sync_errors_error_code_sync_run_id", "error_code", "sync_run_id"),
    **_TABLE_OPTIONS,
)

content_index = Table(
    "content_index",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("content_type", String(50), nullable=False),
    Column("title", String(500), nullable=False),
    Column("artist", String(255)),
    Column("genre", String(100)),
    Column("source_type", String(50), nullable=False),
    Column("source_identifier", _key_text(255), nullable=False),
    Column("external_id", _key_text(255)),
    Column("metadata", JSON(none_as_null=True)),
    Column("is_available", Boolean, server_default=text("1")),
    Column("last_synced_at", _TIME),
    *_columns_of_loading(),
    UniqueConstraint("source_type", "source_identifier", "external_id", name="uq_content_index_source_external"),
    Index("idx_content_index_content_type", "content_type"),
    Index("idx_content_index_source_type", "source_type"),
    Index("idx_content_index_title", "title"),
    Index("idx_content_index_artist", "artist"),
    Index("idx_content_index_genre", "genre"),
    Index("idx_content_index_is_available", "is_available"),
    Index("idx_content_index_content_type_is_available", "content_type", "is_available"),
    **_TABLE_OPTIONS,
)

catalog_items = Table(
    "catalog_items",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("category_id", _key_text(50), nullable=False),
    Column("capacity", _key_text(20), nullable=False),
    Column("capacity_gb", Integer, nullable=False),
    Column("price", Numeric(10, 2), nullable=False),
    Column("content_count", Integer, nullable=False),
    Column("content_unit", String(50), nullable=False),
    Column("is_active", Boolean, server_default=text("1")),
    Column("is_popular", Boolean, server_default=text("0")),
    Column("is_recommended", Boolean, server_default=text("0")),
    Column("min_price", Numeric(10, 2)),
    Column("max_price", Numeric(10, 2)),
    Column("metadata", JSON(none_as_null=True)),
    *_columns_of_loading(),
    UniqueConstraint("category_id", "capacity", name="uq_catalog_items_category_capacity"),
    Index("idx_catalog_items_category_capacity", "category_id", "capacity"),
    Index("idx_catalog_items_is_active", "is_active"),
    **_TABLE_OPTIONS,
)

catalog_change_log = Table(
    "catalog_change_log",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("catalog_item_id", _ID, ForeignKey("catalog_items.id", ondelete="SET NULL")),
    Column("category_id", String(50), nullable=False),
    Column("capacity", String(20), nullable=False),
    Column("action", String(50), nullable=False),
    Column("field_changed", String(100)),
    Column("old_value", Text),
    Column("new_value", Text),
    Column("changed_by", String(100), nullable=False),
    Column("change_reason", String(500)),
    Column("change_data", JSON(none_as_null=True)),
    Column("ip_address", String(50)),
    Column("created_at", _TIME, server_default=_NOW),
    Index("idx_catalog_change_log_catalog_item_id", "catalog_item_id"),
    **_TABLE_OPTIONS,
)

# The checkpoints: one row per committed batch, written in the batch's own transaction.
sync_batches = Table(
    "sync_batches",
    metadata,
    Column("id", _BIG.with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("sync_run_id", _ID, nullable=False),
    Column("restart_no", Integer, nullable=False),
    Column("batch_no", Integer, nullable=False),
    Column("lease_epoch", _BIG, nullable=False),
    Column("rows_read", _BIG, nullable=False),
    Column("rows_inserted", _BIG, nullable=False),
    Column("rows_updated", _BIG, nullable=False),
    Column("rows_unchanged", _BIG, nullable=False),
    Column("rows_rejected", _BIG, nullable=False),
    Column("rows_skipped", _BIG, nullable=False),
    Column("rows_conflicting", _BIG, nullable=False, server_default=text("0")),
    Column("bytes_done", _BIG, nullable=False),
    Column("position", JSON, nullable=False),
    Column("committed_at", _TIME, nullable=False, server_default=_NOW),
    UniqueConstraint("sync_run_id", "restart_no", "batch_no", name="uq_sync_batches_run_restart_batch"),
    **_TABLE_OPTIONS,
)

# The rows that a mirror has seen so far; emptied when the run ends.
sync_seen_rows = Table(
    "sync_seen_rows",
    metadata,
    Column("sync_run_id", _ID, primary_key=True, autoincrement=False),
    Column("restart_no", Integer, primary_key=True, autoincrement=False),
    Column("target_id", _ID, primary_key=True, autoincrement=False),
    **_TABLE_OPTIONS,
)

# One row for each source that ever ran: the lock under which its runs are triggered and claimed.
sync_sources = Table(
    "sync_sources",
    metadata,
    Column("source_key", _digest(), primary_key=True),
    Column("locked_count", _BIG, nullable=False, server_default=text("0")),
    Column("locked_at", _TIME, nullable=False, server_default=_NOW),
    # The spelling of the source under which its rows stand in content_index, once a run has found it out.
    Column("row_identifier", _key_text(255)),
    **_TABLE_OPTIONS,
)

# How many runs have ended in each way, by blocks of ids; see db/repositories/run_counts.py.
sync_run_counts = Table(
    "sync_run_counts",
    metadata,
    Column("block_no", Integer, primary_key=True, autoincrement=False),
    Column("counted_as", Integer, primary_key=True, autoincrement=False),
    Column("run_count", _BIG, nullable=False),
    Column("revision", _BIG, nullable=False, server_default=text("0")),
    **_TABLE_OPTIONS,
)

# Recurring syncs. `starts_at_ms` and the due times are of the service's clock: cron is a matter of wall time.
sync_schedules = Table(
    "sync_schedules",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source_type", String(50), nullable=False),
    Column("source_identifier", String(255), nullable=False),
    Column("options", JSON, nullable=False),
    Column("options_digest", _digest(), nullable=False),
    Column("cron", String(100), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("overlap_policy", String(16), nullable=False),
    Column("catch_up_seconds", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("1")),
    Column("starts_at_ms", _BIG, nullable=False),
    Column("revision", _BIG, nullable=False, server_default=text("0")),
    Column("last_fire_at_local", String(32)),
    Column("last_outcome", String(16)),
    Column("last_sync_run_id", _ID),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    **_TABLE_OPTIONS,
)

# Which scheduled fires have happened; the unique row decides which replica fires.
sync_schedule_fires = Table(
    "sync_schedule_fires",
    metadata,
    Column("schedule_name", String(100), primary_key=True),
    Column("fire_at_local", String(32), primary_key=True),
    Column("fired_at", _TIME, nullable=False, server_default=_NOW),
    **_TABLE_OPTIONS,
)

# How far the completed runs of each incremental source have seen it; moved in the transaction that ends such a run.
sync_watermarks = Table(
    "sync_watermarks",
    metadata,
    Column("source_key", _key_text(32), primary_key=True),
    Column("value", _key_text(100), nullable=False),
    Column("value_rank", _key_text(100), nullable=False),
    Column("sync_run_id", _ID, nullable=False),
    Column("full_at", _TIME),
    Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    **_TABLE_OPTIONS,
)

# What sources keep from one run to the next; keys are digests, contents are sealed by the service.
sync_source_memory = Table(
    "sync_source_memory",
    metadata,
    Column("memory_key", String(64), primary_key=True),
    Column("content", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
    Column("kept_at", _TIME, nullable=False, server_default=_NOW),
    **_TABLE_OPTIONS,
)

# Pages of APIs as they were sent, compressed and sealed, to be asked for only if they have changed.
sync_kept_pages = Table(
    "sync_kept_pages",
    metadata,
    Column("source_key", _digest(), primary_key=True),
    Column("options_digest", _digest(), primary_key=True),
    Column("page_key", _digest(), primary_key=True),
    Column("etag", _key_text(500), nullable=False),
    Column("last_modified", _key_text(500), nullable=False),
    Column("content", LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"), nullable=False),
    Column("content_bytes", Integer, nullable=False),
    Column("kept_at", _TIME, nullable=False, server_default=_NOW),
    Index("idx_sync_kept_pages_kept_at", "kept_at"),
    **_TABLE_OPTIONS,
)

# Who may call. A key itself is stored nowhere, only its SHA-256; `reach` is what it is narrowed to, null for everything.
sync_api_keys = Table(
    "sync_api_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key_id", _digest(), nullable=False),
    Column("name", _key_text(100), nullable=False),
    Column("digest", _digest(), nullable=False),
    Column("scopes", String(100), nullable=False),
    Column("reach", JSON(none_as_null=True)),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("expires_at_ms", _BIG),
    Column("revoked_at_ms", _BIG),
    Column("used_at_ms", _BIG),
    UniqueConstraint("key_id", name="uq_sync_api_keys_key_id"),
    Index("idx_sync_api_keys_name", "name"),
    **_TABLE_OPTIONS,
)

# What callers changed, each row in the transaction of the change, and what they were refused, counted.
sync_audit = Table(
    "sync_audit",
    metadata,
    Column("id", _BIG.with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("called_at_ms", _BIG, nullable=False),
    Column("caller", _key_text(200), nullable=False),
    Column("method", String(64), nullable=False),
    Column("peer", String(100), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", String(500)),
    Column("sync_run_id", _ID),
    Column("sync_schedule_id", Integer),
    Column("call_count", Integer, nullable=False, server_default=text("1")),
    Index("idx_sync_audit_called_at_ms", "called_at_ms"),
    **_TABLE_OPTIONS,
)

# The idempotency keys of calls that changed something, each stored in the transaction of the change.
sync_idempotency_keys = Table(
    "sync_idempotency_keys",
    metadata,
    Column("caller", _key_text(200), primary_key=True),
    Column("idempotency_key", _key_text(128), primary_key=True),
    Column("fingerprint", _digest(), nullable=False),
    Column("result_id", _BIG, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Index("idx_sync_idempotency_keys_created_at", "created_at"),
    **_TABLE_OPTIONS,
)

# Tables that rows of sources go into.
TARGET_TABLES = tuple(table for table in metadata.tables.values() if _MARKS in table.c)
