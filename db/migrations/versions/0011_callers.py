"""Who may call, what callers changed, and which of their calls were made already."""

from typing import Any, Final

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql

from db.migrations.steps import Steps

revision = "0011"
down_revision = "0010"

_OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_unicode_ci",
}
_SERVERS: Final = ("mysql", "mariadb")
_TIME: Final = DateTime().with_variant(mysql.TIMESTAMP(), *_SERVERS)
_NOW: Final = text("CURRENT_TIMESTAMP")
_RUN_ID: Final = Integer().with_variant(mysql.INTEGER(unsigned=True), *_SERVERS)
_DIGEST: Final = String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), *_SERVERS)


def upgrade() -> None:
    """Three tables."""
    steps = Steps(op.get_context())
    for table in _tables():
        steps.create_table(table)


def _key_text(length: int) -> String:
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), *_SERVERS)


def _tables() -> tuple[Table, ...]:
    metadata = MetaData()
    return (
        Table(
            "sync_api_keys",
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=True),
            Column("key_id", _DIGEST, nullable=False),
            Column("name", _key_text(100), nullable=False),
            Column("digest", _DIGEST, nullable=False),
            Column("scopes", String(100), nullable=False),
            Column("reach", JSON(none_as_null=True)),
            Column("created_at", _TIME, nullable=False, server_default=_NOW),
            Column("expires_at_ms", BigInteger),
            Column("revoked_at_ms", BigInteger),
            Column("used_at_ms", BigInteger),
            UniqueConstraint("key_id", name="uq_sync_api_keys_key_id"),
            Index("idx_sync_api_keys_name", "name"),
            **_OPTIONS,
        ),
        Table(
            "sync_audit",
            metadata,
            Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
            Column("called_at_ms", BigInteger, nullable=False),
            Column("caller", _key_text(200), nullable=False),
            Column("method", String(64), nullable=False),
            Column("peer", String(100), nullable=False),
            Column("request_id", String(64), nullable=False),
            Column("outcome", String(16), nullable=False),
            Column("reason", String(64)),
            Column("detail", String(500)),
            Column("sync_run_id", _RUN_ID),
            Column("sync_schedule_id", Integer),
            Column("call_count", Integer, nullable=False, server_default=text("1")),
            Index("idx_sync_audit_called_at_ms", "called_at_ms"),
            **_OPTIONS,
        ),
        Table(
            "sync_idempotency_keys",
            metadata,
            Column("caller", _key_text(200), primary_key=True),
            Column("idempotency_key", _key_text(128), primary_key=True),
            Column("fingerprint", _DIGEST, nullable=False),
            Column("result_id", BigInteger, nullable=False),
            Column("created_at", _TIME, nullable=False, server_default=_NOW),
            Index("idx_sync_idempotency_keys_created_at", "created_at"),
            **_OPTIONS,
        ),
    )
