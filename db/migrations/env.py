"""Alembic's entry: runs the revisions on the connection that db/migrate.py hands over, or prints what they would do."""

from alembic import context

from db.migrate import VERSION_TABLE
from db.migrations.inventory import Inventory

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table=VERSION_TABLE,
    live=attributes["connection"],
    inventory=Inventory(attributes["connection"], is_plan=context.is_offline_mode()),
    say=attributes["say"],
    literal_binds=context.is_offline_mode(),
    output_buffer=attributes.get("output"),
)
with context.begin_transaction():
    context.run_migrations()
