"""The database: engines and sessions for SQLite and PostgreSQL alike, and its migration."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import alembic.command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from app.engine import client as engine_client
from app.models import Base
from app.settings import Settings

logging.getLogger("alembic").setLevel(logging.WARNING)
_SCRIPTS = Path(__file__).resolve().parent.parent / "alembic"
_BUSY_TIMEOUT_MS = 30_000
_CONNECTIONS = 15
"""Most of one process to PostgreSQL; those of the engine come on top."""


class Database:
    """Sessions on one database; belongs to the event loop that it is first used in."""

    def __init__(self, url: URL) -> None:
        self.engine = _async_engine(url)
        self._reads = async_sessionmaker(_reading(self.engine), expire_on_commit=False)
        # A SQLite transaction that reads before it writes fails at once when another writer came
        # between; taking the write lock at BEGIN makes it wait its turn instead.
        self._writes = async_sessionmaker(
            self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE"), expire_on_commit=False
        )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for reading; nothing is committed. On SQLite all its statements see the
        database as it was at the first; on PostgreSQL each sees what is committed by then."""
        async with self._reads() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed at the end, or rolled back if the block raises."""
        async with self._writes.begin() as session:
            yield session

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))

    async def is_migrated(self) -> bool:
        """Whether our tables are at the newest revision."""

        def is_at_head(connection: Connection) -> bool:
            current = MigrationContext.configure(connection).get_current_heads()
            return set(current) == set(_scripts().get_heads())

        async with self.engine.connect() as connection:
            return await connection.run_sync(is_at_head)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def migrate(settings: Settings) -> None:
    """Bring the database of the settings to the newest schema, creating it where there is none.

    Runs our own Alembic revisions, then the engine's migrations. Safe to call on a migrated
    database. Blocking; called by `serve` for the embedded database and by `headroom db upgrade`.
    """
    url = settings.url
    if url.get_backend_name() == "sqlite":
        _create_sqlite(Path(url.database or ""))
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # Services that start together would otherwise migrate together.
                connection.execute(text("SELECT pg_advisory_xact_lock(4207849484)"))
            alembic.command.upgrade(alembic_config(connection), "head")
    finally:
        engine.dispose()
    engine_client.migrate(url)


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration with the scripts found next to this package, not in the folder
    that the command happens to run in."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def insert_or_ignore(
    session: AsyncSession, table: type[Base], values: dict[str, Any]
) -> Executable:
    """An INSERT that does nothing where a unique key is taken; look at the row count."""
    dialect = session.get_bind().dialect.name
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    # On the table and with the option, or psycopg's row count of an INSERT is not kept.
    statement = insert(cast(Table, table.__table__)).values(values).on_conflict_do_nothing()
    return cast(Executable, statement.execution_options(preserve_rowcount=True))


async def row_count(session: AsyncSession, statement: Executable) -> int:
    """Execute an INSERT, UPDATE or DELETE and tell how many rows it touched."""
    result = cast("CursorResult[Any]", await session.execute(statement))
    return result.rowcount


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config())


def _async_engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        # All that there may be are kept: making one anew takes longer than any query.
        return create_async_engine(url, pool_pre_ping=True, pool_size=_CONNECTIONS, max_overflow=0)
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000},
    )
    _configure_sqlite(engine.sync_engine)
    return engine


def _reading(engine: AsyncEngine) -> AsyncEngine:
    """The engine for sessions that only read, on the same connections.

    A transaction of PostgreSQL's default isolation gives reads nothing: without one, two of four
    round trips are saved.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _record: Any) -> None:
        # The driver's own transaction handling is off; ours begins below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def _create_sqlite(path: Path) -> None:
    """WAL lets readers and one writer work at once; the mode is kept in the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_MS / 1000)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
