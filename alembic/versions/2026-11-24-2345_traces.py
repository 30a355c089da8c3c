"""the trace of jobs, and numbers that only grow"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_JOBS = ("simulation", "plan", "run", "design_search")
_MEASURED = ["finished_at", "device", "model_type", "relative_error"]


def upgrade() -> None:
    for table in _JOBS:
        # Without batch mode: adding a column that may be NULL rewrites no table.
        op.add_column(table, sa.Column("traceparent", sa.String(length=55), nullable=True))
    op.create_table(
        "tally",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=100), nullable=False),
        sa.Column("le", sa.Double(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "kind", "outcome", "le", name=op.f("pk_tally")),
    )

    op.create_index(op.f("ix_run_finished_at"), "run", _MEASURED)


def downgrade() -> None:
    op.drop_index(op.f("ix_run_finished_at"), "run")
    op.drop_table("tally")
    for table in _JOBS:
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column("traceparent")
