"""workers that are attached over HTTP"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.add_column(sa.Column("session_id", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("key_id", sa.String(length=40), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_worker_session_id"), ["session_id"])
    with op.batch_alter_table("job_attempt", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lease_id", sa.String(length=36), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_job_attempt_lease_id"), ["lease_id"])


def downgrade() -> None:
    with op.batch_alter_table("job_attempt", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_job_attempt_lease_id"), type_="unique")
        batch_op.drop_column("lease_id")
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_worker_session_id"), type_="unique")
        batch_op.drop_column("key_id")
        batch_op.drop_column("session_id")
