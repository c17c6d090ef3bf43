"""The tables as revision 0007 knew them: what 0001 to 0007 make, or make of what they find. This file never changes.

It is a copy and not an import of db/schema.py, which moves on. What came later is in the revisions from 0008 on.
"""

from __future__ import annotations

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
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql

_TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_unicode_ci",
}
_ID = Integer().with_variant(mysql.INTEGER(unsigned=True), "mysql", "mariadb")
_BIG = BigInteger()
_TIME = DateTime().with_variant(mysql.TIMESTAMP(), "mysql", "mariadb")
_NOW = text("CURRENT_TIMESTAMP")
# SQLite takes any text for JSON.
_BOT_JSON = JSON().with_variant(Text(), "sqlite")


def _key_text(length: int) -> String:
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def _digest() -> String:
    return String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


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
    Column("sync_metadata", _BOT_JSON),
    Column("error_message", Text),
    Column("created_at", _TIME, server_default=_NOW),
    Column("updated_at", _TIME, server_default=_NOW),
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
    Column("notices", JSON),
    Column("detected", JSON),
    Column("rows_deactivated", _BIG, nullable=False, server_default=text("0")),
    Column("active_before", _BIG),
    Column("source_digest", String(64)),
    Column("same_as_run_id", _ID),
    Column("source_key", _digest()),
    Column("options_digest", _digest()),
    Column("paused", Boolean, nullable=False, server_default=text("0")),
    Column("not_before_ms", _BIG),
    Column("takeover_count", Integer, nullable=False, server_default=text("0")),
    Column("takeover_batches", Integer, nullable=False, server_default=text("0")),
    Column("error_next_step", String(500)),
    Column("sync_schedule_id", Integer),
    Index("idx_sync_runs_source_type", "source_type"),
    Index("idx_sync_runs_status", "status"),
    Index("idx_sync_runs_created_at", "created_at"),
    Index("idx_sync_runs_source_type_status", "source_type", "status"),
    Index("idx_sync_runs_source_key_status", "source_key", "status"),
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
    Column("item_data", JSON),
    Column("is_retryable", Boolean, server_default=text("1")),
    Column("created_at", _TIME, server_default=_NOW),
    Column("restart_no", Integer, nullable=False, server_default=text("0")),
    Column("batch_no", Integer),
    Column("line_no", _BIG),
    Column("byte_offset", _BIG),
    Column("column_name", String(255)),
    Index("idx_sync_errors_sync_run_id", "sync_run_id"),
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
    Column("metadata", JSON),
    Column("is_available", Boolean, server_default=text("1")),
    Column("last_synced_at", _TIME),
    Column("created_at", _TIME, server_default=_NOW),
    Column("updated_at", _TIME, server_default=_NOW),
    Column("row_hash", _BIG),
    Column("column_marks", String(255)),
    Column("deactivated_by_run", _ID),
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
    Column("metadata", JSON),
    Column("created_at", _TIME, server_default=_NOW),
    Column("updated_at", _TIME, server_default=_NOW),
    Column("row_hash", _BIG),
    Column("column_marks", String(255)),
    Column("deactivated_by_run", _ID),
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
    Column("change_data", JSON),
    Column("ip_address", String(50)),
    Column("created_at", _TIME, server_default=_NOW),
    Index("idx_catalog_change_log_catalog_item_id", "catalog_item_id"),
    **_TABLE_OPTIONS,
)

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

sync_seen_rows = Table(
    "sync_seen_rows",
    metadata,
    Column("sync_run_id", _ID, primary_key=True, autoincrement=False),
    Column("restart_no", Integer, primary_key=True, autoincrement=False),
    Column("target_id", _ID, primary_key=True, autoincrement=False),
    **_TABLE_OPTIONS,
)

sync_sources = Table(
    "sync_sources",
    metadata,
    Column("source_key", _digest(), primary_key=True),
    Column("locked_count", _BIG, nullable=False, server_default=text("0")),
    Column("locked_at", _TIME, nullable=False, server_default=_NOW),
    **_TABLE_OPTIONS,
)

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

sync_schedule_fires = Table(
    "sync_schedule_fires",
    metadata,
    Column("schedule_name", String(100), primary_key=True),
    Column("fire_at_local", String(32), primary_key=True),
    Column("fired_at", _TIME, nullable=False, server_default=_NOW),
    **_TABLE_OPTIONS,
)

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

sync_source_memory = Table(
    "sync_source_memory",
    metadata,
    Column("memory_key", String(64), primary_key=True),
    Column("content", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
    Column("kept_at", _TIME, nullable=False, server_default=_NOW),
    **_TABLE_OPTIONS,
)

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
