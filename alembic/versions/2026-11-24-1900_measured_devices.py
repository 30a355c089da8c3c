"""what runs and workers measured of devices"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "device_context",
        sa.Column("profile", sa.String(length=100), nullable=False),
        sa.Column("context_bytes", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("profile", name=op.f("pk_device_context")),
    )
    # Runs from before have neither: their predictions did not keep the roofline's seconds.
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mode", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("seconds_ratio", sa.Double(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("seconds_ratio")
        batch_op.drop_column("mode")

    op.drop_table("device_context")
