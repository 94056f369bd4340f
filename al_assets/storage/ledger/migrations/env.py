"""What Alembic runs around the migrations: on the connection that it was given, in the transaction of that."""

from alembic import context

from al_assets.storage.ledger.sql_tables import SCHEMA_VERSION

context.configure(connection=context.config.attributes["connection"], version_table=SCHEMA_VERSION.name)
context.run_migrations()
