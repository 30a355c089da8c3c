"""The code of two releases on one database: what is older goes on, or says why it does not."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import alembic.command
import pytest
import sqlalchemy
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from app import database as database_module
from app.cli.application import application
from app.cli.errors import CliError
from app.database import Database, alembic_config, migrate, schema_state
from app.errors import SchemaTooNew
from app.schema_state import read_state
from tests.app.conftest import wait_for
from tests.app.fakes import body

HEAD = ScriptDirectory.from_config(alembic_config()).get_current_head()
NEXT = "9999"
#: What does not depend on the kind of database.
ON_A_FILE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
OF_THE_INDEX = "WHERE indexrelid = 'ix_worker_rack'::regclass"
REVISION = '''"""a revision of the next release"""
import sqlalchemy as sa
from alembic import op
from app.kit.postgres import create_index
revision, down_revision = "{next}", "{head}"
{declaration}

def upgrade():
    op.add_column("worker", sa.Column("rack", sa.String(40), nullable=True))
    create_index("ix_worker_rack", "worker", ["rack"])

def downgrade():
    with op.batch_alter_table("worker") as batch_op:
        batch_op.drop_index("ix_worker_rack")
        batch_op.drop_column("rack")
'''


@pytest.fixture
def next_release(settings, tmp_path, monkeypatch):
    """Migrates the database as the next release does, whose revision declares what it is given.

    The database is shared by tests: what was done is undone afterwards.
    """
    ours, theirs = database_module._SCRIPTS, tmp_path / "next-release"
    shutil.copytree(ours, theirs)

    def migrate_as_next(declaration: str = "", report=lambda _: None) -> None:
        text = REVISION.format(next=NEXT, head=HEAD, declaration=declaration)
        (theirs / "versions" / "next.py").write_text(text)
        monkeypatch.setattr(database_module, "_SCRIPTS", theirs)
        try:
            migrate(settings, report)
        finally:
            monkeypatch.setattr(database_module, "_SCRIPTS", ours)

    yield migrate_as_next
    engine = create_engine(settings.url)
    with engine.begin() as connection:
        scripts = ScriptDirectory(str(theirs))
        if read_state(connection, scripts).current == NEXT:
            monkeypatch.setattr(database_module, "_SCRIPTS", theirs)
            alembic.command.downgrade(alembic_config(connection), HEAD)
    state = _state(settings, ours)
    engine.dispose()
    assert (state.current, state.oldest_compatible, state.serves) == (HEAD, "0012", True)


def _state(settings, folder: Path):
    engine = create_engine(settings.url)
    with engine.connect() as connection:
        state = read_state(connection, ScriptDirectory(str(folder)))
    engine.dispose()
    return state


def ready(client) -> int:
    return client.get("/readyz").status_code


def wait_for_ready(client) -> None:
    while "starting" in client.get("/readyz").text:
        time.sleep(0.02)
    assert ready(client) == 200


@pytest.mark.postgres
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_the_older_service_and_its_worker_go_on_while_the_schema_is_newer(
    client, start_worker, next_release
):
    start_worker()
    before = client.post("/v1/simulations", json=body()).headers["Location"]
    next_release()
    assert wait_for(client, before, "succeeded")
    after = client.post("/v1/simulations", json=body(n_layer=3)).headers["Location"]
    assert wait_for(client, after, "succeeded")
    assert ready(client) == 200


@ON_A_FILE
async def test_an_older_replica_or_worker_that_starts_now_takes_part(settings, next_release):
    next_release()
    database = Database(settings.url)
    assert await database.is_migrated()
    await database.close()


@ON_A_FILE
def test_a_release_that_is_rolled_back_migrates_nothing_and_says_so(settings, next_release):
    next_release()
    told: list[str] = []
    migrate(settings, told.append)
    assert told == [f"a newer version has migrated the database to {NEXT}: nothing to do"]
    assert _state(settings, database_module._SCRIPTS).current == NEXT


@ON_A_FILE
def test_a_contracting_revision_takes_code_that_cannot_live_with_it_out_of_service(
    client, settings, next_release
):
    wait_for_ready(client)
    next_release(f'oldest_compatible = "{NEXT}"')
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert client.get("/healthz").status_code == 200
    with pytest.raises(SchemaTooNew, match=f"{NEXT}.*this version knows {HEAD}"):
        migrate(settings)


@ON_A_FILE
def test_a_contracting_revision_names_the_oldest_code_that_goes_on(client, next_release):
    wait_for_ready(client)
    next_release(f'oldest_compatible = "{HEAD}"')
    assert ready(client) == 200


@ON_A_FILE
def test_a_newer_schema_that_says_nothing_of_older_code_is_not_trusted(
    settings, client, next_release
):
    wait_for_ready(client)
    next_release()
    engine = create_engine(settings.url)
    with engine.begin() as connection:
        kept = connection.scalar(text("DELETE FROM schema_compatibility RETURNING oldest_revision"))
    assert ready(client) == 503
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO schema_compatibility VALUES (:it)"), {"it": kept})
    engine.dispose()


@ON_A_FILE
def test_status_tells_what_upgrade_would_do_and_upgrade_tells_what_it_does(settings, monkeypatch):
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    engine = create_engine(settings.url)
    with engine.begin() as connection:
        alembic.command.downgrade(alembic_config(connection), "0004")
    state = schema_state(engine)
    engine.dispose()
    assert (state.current, state.pending[:2], state.pending[-1]) == ("0004", ("0005", "0006"), HEAD)
    run = CliRunner().invoke
    behind = run(application, ["db", "status"])
    assert (behind.exit_code, "0005, 0006" in behind.output) == (1, True)
    done = run(application, ["db", "upgrade"])
    assert "0006: design searches" in done.output
    assert (done.exit_code, run(application, ["db", "status"]).exit_code) == (0, 0)


@pytest.mark.postgres
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
class TestLocks:
    def test_a_long_transaction_delays_the_migration_and_nobody_else(
        self, settings, next_release, monkeypatch
    ):
        monkeypatch.setattr(database_module, "_LOCK_TIMEOUT", "100ms")
        engine = create_engine(settings.url)
        reader = engine.connect()
        reader.execute(text("SELECT * FROM worker"))
        told: list[str] = []

        def report(line: str) -> None:
            told.append(line)
            if "locked" in line:
                # Between attempts the migration is not in anyone's way.
                with engine.begin() as writer:
                    writer.execute(text("SET LOCAL lock_timeout = '1s'"))
                    writer.execute(text("UPDATE worker SET pid = pid"))
                reader.rollback()

        next_release(report=report)
        assert told == [
            "a table is locked by a longer transaction: again in 1 s",
            f"{NEXT}: a revision of the next release",
        ]
        reader.close()
        engine.dispose()

    def test_a_table_that_stays_locked_ends_the_migration_with_nothing_applied(
        self, settings, next_release, monkeypatch
    ):
        monkeypatch.setattr(database_module, "_LOCK_TIMEOUT", "20ms")
        monkeypatch.setattr("app.kit.postgres.time.sleep", lambda _: None)
        engine = create_engine(settings.url)
        with engine.connect() as reader:
            reader.execute(text("SELECT * FROM worker"))
            with pytest.raises(TimeoutError, match="pg_stat_activity"):
                next_release()
        assert schema_state(engine).current == HEAD
        engine.dispose()

    def test_two_migrations_do_not_meet(self, settings, next_release):
        engine = create_engine(settings.url)
        other = engine.connect()
        key = database_module._MIGRATION_LOCK
        other.execute(text(f"SELECT pg_advisory_lock({key})"))
        told: list[str] = []
        waits = threading.Event()

        def report(line: str) -> None:
            told.append(line)
            waits.set()

        migrating = threading.Thread(target=next_release, kwargs={"report": report})
        migrating.start()
        assert waits.wait(60)
        assert schema_state(engine).current == HEAD
        other.execute(text(f"SELECT pg_advisory_unlock({key})"))
        migrating.join(60)
        assert told[0] == "another migration is running: waiting for it"
        assert schema_state(engine).current == NEXT
        other.close()
        engine.dispose()

    def test_an_index_is_built_concurrently_and_one_broken_off_is_replaced(
        self, settings, next_release
    ):
        engine = create_engine(settings.url)
        with engine.begin() as connection:
            connection.execute(text("CREATE INDEX ix_worker_rack ON worker (pid)"))
            connection.execute(text(f"UPDATE pg_index SET indisvalid = false {OF_THE_INDEX}"))
        next_release()
        with engine.connect() as connection:
            assert (
                connection.scalar(text(f"SELECT indisvalid FROM pg_index {OF_THE_INDEX}")) is True
            )
            (index,) = (
                index
                for index in sqlalchemy.inspect(connection).get_indexes("worker")
                if index["name"] == "ix_worker_rack"
            )
            assert index["column_names"] == ["rack"]
        engine.dispose()


@pytest.mark.parametrize("command", ["upgrade", "status"])
def test_a_database_that_is_away_is_said_in_words_without_its_password(command, monkeypatch):
    monkeypatch.setenv("HEADROOM_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/headroom")
    answer = CliRunner().invoke(application, ["db", command])
    assert isinstance(answer.exception, CliError)
    assert "does not answer" in answer.exception.message
    assert "hunter2" not in answer.output + answer.exception.message
