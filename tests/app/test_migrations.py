from __future__ import annotations

import sqlite3

import alembic.command
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from app.access.caller import caller_of
from app.access.keys import make_key
from app.access.repository import identify
from app.database import Database, alembic_config, migrate
from app.models import Base, Simulation
from app.settings import Settings


@pytest.fixture
def connection(settings):
    engine = sqlalchemy.create_engine(settings.url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def our_tables(connection) -> set[str]:
    return set(inspect(connection).get_table_names()) & set(Base.metadata.tables)


def test_there_is_one_head():
    assert len(ScriptDirectory.from_config(alembic_config()).get_heads()) == 1


def test_all_revisions_go_down_and_up_again(connection):
    for revision in ScriptDirectory.from_config(alembic_config()).walk_revisions():
        alembic.command.downgrade(alembic_config(connection), str(revision.down_revision or "base"))
        alembic.command.upgrade(alembic_config(connection), revision.revision)
        alembic.command.downgrade(alembic_config(connection), str(revision.down_revision or "base"))
    assert our_tables(connection) == set()
    alembic.command.upgrade(alembic_config(connection), "head")
    assert our_tables(connection) == set(Base.metadata.tables)


def test_going_back_before_plans_keeps_simulations_and_loses_runs_of_plans(connection):
    job = "status, queue, version, created_at"
    answer = "request, versions, content_hash, mode, device"
    values = "'{}', '{}', 'x', 'train', 'cpu', 'succeeded', 'q', 1, '2026-01-01'"
    run = f"INSERT INTO run (id, {{}}, labels, device, predicted, {job}) VALUES"
    rest = "'{}', 'cpu', '{}', 'succeeded', 'q', 1, '2026-01-01'"
    for statement in (
        f"INSERT INTO simulation (id, {answer}, {job}) VALUES ('sim_1', {values})",
        f"INSERT INTO plan (id, {answer}, {job}) VALUES ('plan_1', {values})",
        f"{run.format('simulation_id')} ('run_1', 'sim_1', {rest})",
        f"{run.format('plan_id')} ('run_2', 'plan_1', {rest})",
        "INSERT INTO job_attempt (job_id, number, worker_id, started_at) VALUES"
        " ('run_1', 1, 'w', '2026-01-01'), ('run_2', 1, 'w', '2026-01-01')",
    ):
        connection.execute(sqlalchemy.text(statement))
    alembic.command.downgrade(alembic_config(connection), "0001")
    assert connection.execute(sqlalchemy.text("SELECT id FROM run")).all() == [("run_1",)]
    kept = connection.execute(sqlalchemy.text("SELECT job_id FROM job_attempt")).all()
    assert kept == [("run_1",)]
    alembic.command.upgrade(alembic_config(connection), "head")
    kept = connection.execute(sqlalchemy.text("SELECT simulation_id, plan_id FROM run")).all()
    assert kept == [("sim_1", None)]


async def test_what_is_older_than_owners_is_for_all_and_keys_own_by_their_names(
    settings, connection
):
    alembic.command.downgrade(alembic_config(connection), "0006")
    key = make_key()
    job = "id, status, queue, version, created_at"
    for statement in (
        "INSERT INTO api_key (id, name, prefix, digest, scopes, created_at) VALUES"
        f" ('key_1', 'ci', '{key.prefix}', '{key.digest}', '[\"write\"]', '2026-01-01')",
        f"INSERT INTO simulation ({job}, request, versions, content_hash, mode, device) VALUES"
        " ('sim_1', 'queued', 'q', 1, '2026-01-01', '{}', '{}', 'x', 'train', 'cpu')",
    ):
        connection.execute(sqlalchemy.text(statement))
    alembic.command.upgrade(alembic_config(connection), "head")
    connection.commit()
    database = Database(settings.url)
    async with database.read() as session:
        identity = await identify(session, key.text)
        caller = caller_of(identity, settings.model_copy(update={"auth": "on"}))
        simulation = await session.get_one(Simulation, "sim_1")
        assert (caller.owner, caller.max_pending, caller.sees_all) == ("ci", 1000, False)
        assert (simulation.owner, simulation.shared, simulation.priority) == (None, False, 1)
        assert caller.may_see(simulation)
        assert not caller.may_change(simulation)
    await database.close()


def test_the_tables_are_those_of_the_models(connection):
    ours = set(Base.metadata.tables)
    context = MigrationContext.configure(
        connection,
        opts={"include_name": lambda name, kind, _: kind != "table" or name in ours},
    )
    assert compare_metadata(context, Base.metadata) == []


async def test_migrating_twice_changes_nothing_and_keeps_the_rows(settings):
    migrate(settings)
    database = Database(settings.url)
    assert await database.is_migrated()
    await database.close()


async def test_a_database_behind_the_code_is_noticed(settings, connection):
    alembic.command.downgrade(alembic_config(connection), "base")
    connection.commit()
    database = Database(settings.url)
    assert not await database.is_migrated()
    await database.close()


def test_an_embedded_database_is_created_in_wal_mode_with_its_folder(tmp_path):
    settings = Settings(data_dir=tmp_path / "new" / "folder")
    migrate(settings)
    with sqlite3.connect(settings.data_dir / "headroom.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
