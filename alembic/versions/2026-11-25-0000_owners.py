"""owners, sharing, limits of keys and turns"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JOBS = ("simulation", "plan", "run", "design_search")
_OWNED = (*_JOBS, "device", "event")


def upgrade() -> None:
    for table in _OWNED:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("owner", sa.String(length=100), nullable=True))
            batch_op.add_column(
                sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False)
            )
    for table in _JOBS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(
                sa.Column("priority", sa.Integer(), server_default="1", nullable=False)
            )
            batch_op.create_index(batch_op.f(f"ix_{table}_owner"), ["owner", "id"], unique=False)
            batch_op.create_index(
                batch_op.f(f"ix_{table}_shared"),
                ["id"],
                unique=False,
                postgresql_where=sa.text("shared"),
                sqlite_where=sa.text("shared"),
            )
            batch_op.create_index(
                batch_op.f(f"ix_{table}_turn"),
                ["status", "owner", "queue", "priority"],
                unique=False,
            )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(length=100), nullable=True))
        batch_op.add_column(sa.Column("max_pending", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("rate", sa.String(length=40), nullable=True))
    with op.batch_alter_table("idempotency_key", schema=None) as batch_op:
        batch_op.alter_column(
            "scope", existing_type=sa.String(length=40), type_=sa.String(length=160)
        )


def downgrade() -> None:
    op.execute("DELETE FROM idempotency_key WHERE scope LIKE '% of %'")
    with op.batch_alter_table("idempotency_key", schema=None) as batch_op:
        batch_op.alter_column(
            "scope", existing_type=sa.String(length=160), type_=sa.String(length=40)
        )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.drop_column("rate")
        batch_op.drop_column("max_pending")
        batch_op.drop_column("owner")
    for table in _JOBS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_index(batch_op.f(f"ix_{table}_turn"))
            batch_op.drop_index(batch_op.f(f"ix_{table}_shared"))
            batch_op.drop_index(batch_op.f(f"ix_{table}_owner"))
            batch_op.drop_column("priority")
    for table in _OWNED:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("shared")
            batch_op.drop_column("owner")
