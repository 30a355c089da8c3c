"""indexes for pages of filtered lists"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = ("simulation", "plan", "run", "design_search")
_INDEXED = ("status", "model_type", "task", "device")
_FILTERS = ("status", "model_type", "task", "mode", "device")


def upgrade() -> None:
    for table in _TABLES:
        for column in _INDEXED:
            op.drop_index(f"ix_{table}_{column}", table)
        for column in _FILTERS:
            others = [other for other in _FILTERS if other != column]
            op.create_index(f"ix_{table}_{column}", table, [column, "id", *others])
        if op.get_bind().dialect.name == "postgresql":
            # Filters that exclude each other: taken for independent, they would seem to be met so
            # often that a walk through the whole table ends early.
            columns = ", ".join(_FILTERS)
            op.execute(f"CREATE STATISTICS st_{table}_filters (mcv) ON {columns} FROM {table}")


def downgrade() -> None:
    for table in _TABLES:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(f"DROP STATISTICS st_{table}_filters")
        for column in _FILTERS:
            op.drop_index(f"ix_{table}_{column}", table)
        for column in _INDEXED:
            op.create_index(f"ix_{table}_{column}", table, [column])
