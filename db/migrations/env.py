"""Alembic's entry: runs the revisions on the connection that db/migrate.py hands over."""

from alembic import context

from db.migrate import VERSION_TABLE
from db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    say=context.config.attributes["say"],
)
with context.begin_transaction():
    context.run_migrations()
