"""Why an item was asked names regions of the pool; the density clusters of before have no place in it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Change the columns, and keep out programs that would look for the former ones."""
    for column in ("region", "partner_region"):
        op.add_column("queue", sa.Column(column, sa.Integer))
    for column in ("cluster", "partner_cluster"):
        op.drop_column("queue", column)
    op.execute("UPDATE schema_version SET least_program = 4")
