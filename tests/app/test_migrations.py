from __future__ import annotations

import sqlite3

import alembic.command
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from app.database import Database, alembic_config, migrate
from app.models import Base
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
