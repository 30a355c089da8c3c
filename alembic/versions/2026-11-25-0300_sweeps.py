"""sweeps"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweep",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("model_type", sa.String(length=200), nullable=True),
        sa.Column("task", sa.String(length=60), nullable=True),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("owner", sa.String(length=100), nullable=True),
        sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
    )
    with op.batch_alter_table("sweep", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sweep_model_type"), ["model_type"], unique=False)
        batch_op.create_index(batch_op.f("ix_sweep_task"), ["task"], unique=False)
    op.create_table(
        "sweep_point",
        sa.Column("sweep_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("simulation_id", sa.String(length=40), nullable=True),
        sa.Column("created", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["simulation_id"],
            ["simulation.id"],
            name=op.f("fk_sweep_point_simulation_id_simulation"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["sweep_id"],
            ["sweep.id"],
            name=op.f("fk_sweep_point_sweep_id_sweep"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sweep_id", "number", name=op.f("pk_sweep_point")),
    )
    with op.batch_alter_table("sweep_point", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sweep_point_simulation_id"), ["simulation_id"], unique=False
        )


def downgrade() -> None:
    op.drop_table("sweep_point")
    op.drop_table("sweep")
    op.execute("DELETE FROM idempotency_key WHERE scope LIKE 'sweep%'")
