"""Up to which vote the loop read the labels, and when: an answer changed afterwards no longer counts for agreement."""

import sqlalchemy as sa
from alembic import op

from al_assets.storage.ledger.sql_tables import ROW_NUMBER, UtcDateTime, filled, keys, statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table, guard it, and keep out programs that would read labels without a word."""
    connection = op.get_bind()
    seq = sa.Column("seq", ROW_NUMBER, primary_key=True, autoincrement=False)
    op.create_table("label_readings", *keys("policy"), seq, *filled(UtcDateTime, "read_at"))
    for statement in statements(f"guards_0003.{connection.dialect.name}.sql"):
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    op.execute("UPDATE schema_version SET least_program = 3")
