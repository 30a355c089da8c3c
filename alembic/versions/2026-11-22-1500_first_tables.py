"""first tables"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_artifact")),
    )
    op.create_table(
        "device",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_device")),
    )
    op.create_table(
        "event",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=200), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_resource_id"), ["resource_id"], unique=False)

    op.create_table(
        "idempotency_key",
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "job_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("exit", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_attempt")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_job_attempt_job_id")),
    )
    with op.batch_alter_table("job_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_attempt_job_id"), ["job_id"], unique=False)

    op.create_table(
        "simulation",
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("reusable_hash", sa.String(length=64), nullable=True),
        sa.Column("model_type", sa.String(length=200), nullable=True),
        sa.Column("task", sa.String(length=60), nullable=True),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column("prediction", sa.JSON(), nullable=True),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=True),
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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_simulation")),
        sa.UniqueConstraint("reusable_hash", name=op.f("uq_simulation_reusable_hash")),
    )
    with op.batch_alter_table("simulation", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_simulation_content_hash"), ["content_hash"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_simulation_device"), ["device"], unique=False)
        batch_op.create_index(batch_op.f("ix_simulation_model_type"), ["model_type"], unique=False)
        batch_op.create_index(batch_op.f("ix_simulation_status"), ["status"], unique=False)
        batch_op.create_index(batch_op.f("ix_simulation_task"), ["task"], unique=False)
        batch_op.create_index(batch_op.f("ix_simulation_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "worker",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("run_queue", sa.String(length=200), nullable=False),
        sa.Column("simulates", sa.Boolean(), nullable=False),
        sa.Column("device", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("hostname", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("jobs", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_worker_last_seen_at"), ["last_seen_at"], unique=False)

    op.create_table(
        "run",
        sa.Column("simulation_id", sa.String(length=40), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("model_type", sa.String(length=200), nullable=True),
        sa.Column("task", sa.String(length=60), nullable=True),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column("measured", sa.JSON(), nullable=True),
        sa.Column("environment", sa.JSON(), nullable=True),
        sa.Column("worker", sa.JSON(), nullable=True),
        sa.Column("predicted", sa.JSON(), nullable=False),
        sa.Column("relative_error", sa.Double(), nullable=True),
        sa.Column("phases", sa.JSON(), nullable=True),
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
        sa.ForeignKeyConstraint(
            ["simulation_id"],
            ["simulation.id"],
            name=op.f("fk_run_simulation_id_simulation"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_device"), ["device"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_model_type"), ["model_type"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_simulation_id"), ["simulation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_status"), ["status"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_task"), ["task"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_worker_id"), ["worker_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_worker_id"))
        batch_op.drop_index(batch_op.f("ix_run_task"))
        batch_op.drop_index(batch_op.f("ix_run_status"))
        batch_op.drop_index(batch_op.f("ix_run_simulation_id"))
        batch_op.drop_index(batch_op.f("ix_run_model_type"))
        batch_op.drop_index(batch_op.f("ix_run_device"))

    op.drop_table("run")
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_worker_last_seen_at"))

    op.drop_table("worker")
    with op.batch_alter_table("simulation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_simulation_worker_id"))
        batch_op.drop_index(batch_op.f("ix_simulation_task"))
        batch_op.drop_index(batch_op.f("ix_simulation_status"))
        batch_op.drop_index(batch_op.f("ix_simulation_model_type"))
        batch_op.drop_index(batch_op.f("ix_simulation_device"))
        batch_op.drop_index(batch_op.f("ix_simulation_content_hash"))

    op.drop_table("simulation")
    with op.batch_alter_table("job_attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_attempt_job_id"))

    op.drop_table("job_attempt")
    op.drop_table("idempotency_key")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_resource_id"))
        batch_op.drop_index(batch_op.f("ix_event_created_at"))

    op.drop_table("event")
    op.drop_table("device")
    op.drop_table("artifact")
