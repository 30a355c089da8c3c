"""plans"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEPT_FOR_JOBS = (
    ("artifact", "job_id"),
    ("job_attempt", "job_id"),
    ("idempotency_key", "resource_id"),
    ("event", "resource_id"),
)


def upgrade() -> None:
    op.create_table(
        "plan",
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("feasible", sa.Boolean(), nullable=True),
        sa.Column("budget_bytes", sa.BigInteger(), nullable=True),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("reusable_hash", sa.String(length=64), nullable=True),
        sa.Column("model_type", sa.String(length=200), nullable=True),
        sa.Column("task", sa.String(length=60), nullable=True),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("queue", sa.String(length=200), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("worker_id", sa.String(length=200), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("reusable_hash", name=op.f("uq_plan_reusable_hash")),
    )
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_content_hash"), ["content_hash"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_device"), ["device"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_model_type"), ["model_type"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_status"), ["status"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_task"), ["task"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_worker_id"), ["worker_id"], unique=False)

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("plan_id", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("baseline", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("gradients_match", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("slowdown", sa.Double(), nullable=True))
        batch_op.alter_column("simulation_id", existing_type=sa.String(length=40), nullable=True)
        batch_op.create_index(batch_op.f("ix_run_plan_id"), ["plan_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_run_plan_id_plan"), "plan", ["plan_id"], ["id"], ondelete="RESTRICT"
        )


def downgrade() -> None:
    # Runs of plans cannot be told without plans: they go, and everything kept for them and plans.
    gone = "(SELECT id FROM run WHERE simulation_id IS NULL UNION SELECT id FROM plan)"
    for table, column in _KEPT_FOR_JOBS:
        op.execute(f"DELETE FROM {table} WHERE {column} IN {gone}")
    op.execute("DELETE FROM run WHERE simulation_id IS NULL")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_run_plan_id_plan"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_run_plan_id"))
        batch_op.alter_column("simulation_id", existing_type=sa.String(length=40), nullable=False)
        batch_op.drop_column("slowdown")
        batch_op.drop_column("gradients_match")
        batch_op.drop_column("baseline")
        batch_op.drop_column("plan_id")

    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_plan_worker_id"))
        batch_op.drop_index(batch_op.f("ix_plan_task"))
        batch_op.drop_index(batch_op.f("ix_plan_status"))
        batch_op.drop_index(batch_op.f("ix_plan_model_type"))
        batch_op.drop_index(batch_op.f("ix_plan_device"))
        batch_op.drop_index(batch_op.f("ix_plan_content_hash"))

    op.drop_table("plan")
