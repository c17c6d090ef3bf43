"""What stands in the database of a running service, seen by another client than the service."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, text

from tests.support.service import Service


def _engine(service: Service) -> Engine:
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    return create_engine(url)


def select(service: Service, sql: str, **values: object) -> list[Any]:
    """The rows that a query finds."""
    engine = _engine(service)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]
    finally:
        engine.dispose()


def change(service: Service, sql: str, **values: object) -> int:
    """Change rows as someone else does; answer how many there were."""
    engine = _engine(service)
    try:
        with engine.begin() as connection:
            return int(connection.execute(text(sql), values).rowcount)
    finally:
        engine.dispose()
