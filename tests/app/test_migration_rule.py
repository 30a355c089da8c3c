from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from alembic import op
from app.database import alembic_config
from app.kit.postgres import create_index
from tests.app.migration_rule import breaches

SCRIPTS = ScriptDirectory.from_config(alembic_config())
#: The first revision whose code can share a schema with another release's. Those before it were
#: applied with the service stopped.
FIRST = "0012"


def revisions_under_the_rule():
    """Newest first."""
    return list(SCRIPTS.iterate_revisions("head", FIRST, inclusive=True))


@pytest.mark.parametrize("script", revisions_under_the_rule(), ids=lambda script: script.revision)
def test_each_revision_leaves_older_code_alone_or_says_whom_it_leaves_behind(script):
    oldest = getattr(script.module, "oldest_compatible", None)
    if oldest is None:
        assert breaches(script.module.upgrade) == []
    else:
        ancestors = [s.revision for s in SCRIPTS.iterate_revisions(script.revision, "base")]
        assert oldest in ancestors


def test_the_first_revision_under_the_rule_declares_itself():
    assert revisions_under_the_rule()[-1].module.oldest_compatible == FIRST


@pytest.mark.parametrize(
    ("revision", "found"),
    [
        ("0001", []),
        (
            "0002",
            ["run.simulation_id changes", "index ix_run_plan_id locks run: use create_index"],
        ),
        ("0003", []),
        ("0004", []),
        (
            "0005",
            [
                "executes \"UPDATE worker SET state = 'offline' WHERE state = 'stopped'\"",
                "executes \"UPDATE worker SET state = 'lost' WHERE state = 'dead'\"",
            ],
        ),
    ],
)
def test_what_older_revisions_did_is_seen(revision, found):
    assert breaches(SCRIPTS.get_revision(revision).module.upgrade) == found


def column(*args, **options) -> sa.Column:
    return sa.Column("new", sa.String(10), *args, **options)


@pytest.mark.parametrize(
    "upgrade",
    [
        lambda: op.add_column("worker", column(nullable=True)),
        lambda: op.add_column("worker", column(nullable=False, server_default="")),
        lambda: create_index("ix_worker_pid", "worker", ["pid"]),
        lambda: op.execute("INSERT INTO device_context SELECT * FROM device_context WHERE false"),
    ],
)
def test_what_adds_is_allowed(upgrade):
    assert breaches(upgrade) == []


@pytest.mark.parametrize(
    ("upgrade", "found"),
    [
        (
            lambda: op.add_column("worker", column(nullable=False)),
            "worker.new is added without a server default",
        ),
        (lambda: op.drop_column("worker", "pid"), "worker.pid is dropped"),
        (lambda: op.drop_table("worker"), "DropTableOp on worker"),
        (lambda: op.rename_table("worker", "node"), "RenameTableOp on worker"),
        (
            lambda: op.alter_column("worker", "pid", new_column_name="process"),
            "worker.pid changes",
        ),
        (
            lambda: op.create_unique_constraint("uq_worker_pid", "worker", ["pid"]),
            "worker gets the constraint uq_worker_pid",
        ),
        (
            lambda: op.create_foreign_key("fk", "run", "worker", ["worker_id"], ["id"]),
            "run gets the constraint fk",
        ),
        (
            lambda: op.drop_constraint("pk_worker", "worker"),
            "DropConstraintOp on worker",
        ),
        (lambda: op.execute("ALTER TABLE worker DROP pid"), "executes 'ALTER TABLE worker"),
    ],
)
def test_what_older_code_may_not_survive_is_found(upgrade, found):
    (breach,) = breaches(upgrade)
    assert breach.startswith(found)
