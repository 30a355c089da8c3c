"""design searches"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEPT_FOR_JOBS = (
    ("artifact", "job_id"),
    ("job_attempt", "job_id"),
    ("idempotency_key", "resource_id"),
    ("event", "resource_id"),
)
_INDEXED = ("content_hash", "device", "model_type", "status", "task", "worker_id")


def upgrade() -> None:
    op.create_table(
        "design_search",
        sa.Column("objective", sa.String(length=20), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("feasible", sa.Boolean(), nullable=True),
        sa.Column("best_value", sa.Double(), nullable=True),
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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_design_search")),
        sa.UniqueConstraint("reusable_hash", name=op.f("uq_design_search_reusable_hash")),
    )
    with op.batch_alter_table("design_search", schema=None) as batch_op:
        for column in _INDEXED:
            batch_op.create_index(batch_op.f(f"ix_design_search_{column}"), [column], unique=False)


def downgrade() -> None:
    for table, column in _KEPT_FOR_JOBS:
        op.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM design_search)")
    with op.batch_alter_table("design_search", schema=None) as batch_op:
        for column in _INDEXED:
            batch_op.drop_index(batch_op.f(f"ix_design_search_{column}"))

    op.drop_table("design_search")
