"""The database: engines and sessions for SQLite and PostgreSQL alike, and its migration."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import alembic.command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    Row,
    Select,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.engine import client as engine_client
from app.errors import SchemaTooNew
from app.kit import postgres
from app.models import Base
from app.schema_state import SchemaState, read_state
from app.settings import Settings

logging.getLogger("alembic").setLevel(logging.WARNING)
_SCRIPTS = Path(__file__).resolve().parent.parent / "alembic"
_BUSY_TIMEOUT_MS = 30_000
_MIGRATION_LOCK = 4207849484
_LOCK_TIMEOUT = "5s"
_UNUSED_S = 1.0
_CONNECTIONS = 15
"""Most of one process to PostgreSQL; those of the engine come on top."""


class Database:
    """Sessions on one database; belongs to the event loop that it is first used in."""

    def __init__(self, url: URL) -> None:
        self.engine = _async_engine(url)
        self._reading = _reading(self.engine)
        self._reads = async_sessionmaker(self._reading, expire_on_commit=False)
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

    async def row(self, statement: Select[Any], **values: Any) -> Row[Any] | None:
        """The first row of a statement that selects columns, or None.

        Without a session, which costs more than such a statement where it is asked all the time.
        """
        async with self._reading.connect() as connection:
            found: Row[Any] | None = (await connection.execute(statement, values)).first()
            return found

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
        """Whether this version's code works on the schema: its own, or a compatible newer one."""
        async with self.engine.connect() as connection:
            state = await connection.run_sync(read_state, _scripts(_SCRIPTS))
        return state.serves

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def migrate(settings: Settings, report: Callable[[str], None] = lambda _: None) -> None:
    """Bring the database of the settings to the newest schema, creating it where there is none.

    Runs our own Alembic revisions, then the engine's migrations. Safe to call on a migrated
    database; one that a newer version migrated is left alone. Blocking; called by `serve` for the
    embedded database and by `headroom db upgrade`.

    Args:
        report: is told of each revision that was applied, and of each wait for a lock.

    Raises:
        SchemaTooNew: a newer version migrated the database, and this one does not work on it.
        TimeoutError: tables stayed locked by others (PostgreSQL); trying again is safe.
    """
    url = settings.url
    if url.get_backend_name() == "sqlite":
        _create_sqlite(Path(url.database or ""))
    engine = create_engine(url)
    try:
        state = schema_state(engine)
        if state.is_newer:
            if not state.serves:
                raise SchemaTooNew(
                    f"the database is at revision {state.current}, which works with "
                    f"{state.oldest_compatible or state.current} and later; "
                    f"this version knows {state.head}"
                )
            report(f"a newer version has migrated the database to {state.current}: nothing to do")
        elif url.get_backend_name() == "sqlite":
            with engine.begin() as connection:
                alembic.command.upgrade(alembic_config(connection, report=report), "head")
            engine_client.migrate(url)
        else:
            # Services that start together would otherwise migrate together.
            with postgres.alone(engine, _MIGRATION_LOCK, report):
                postgres.patiently(lambda: _upgrade_postgresql(engine, report), report)
                engine_client.migrate(url)
    finally:
        engine.dispose()


def schema_state(engine: Engine) -> SchemaState:
    """The database's schema beside this version's."""
    with engine.connect() as connection:
        return read_state(connection, _scripts(_SCRIPTS))


def _upgrade_postgresql(engine: Engine, report: Callable[[str], None]) -> None:
    """A transaction for each revision. None waits longer for a lock than a service can bear: what
    comes after it waits for it in turn."""
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        connection.commit()
        config = alembic_config(connection, report=report, lock_timeout=_LOCK_TIMEOUT)
        alembic.command.upgrade(config, "head")
        connection.commit()


def alembic_config(connection: Connection | None = None, **attributes: object) -> Config:
    """Alembic's configuration with the scripts found next to this package, not in the folder
    that the command happens to run in. The attributes are for alembic/env.py."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(attributes, connection=connection)
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


@cache
def _scripts(folder: Path) -> ScriptDirectory:
    """As they were when this process first looked: an upgrade may replace them under it."""
    return ScriptDirectory(str(folder))


def _async_engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        # All that there may be are kept: making one anew takes longer than any query.
        engine = create_async_engine(url, pool_size=_CONNECTIONS, max_overflow=0)
        _configure_postgresql(engine.sync_engine)
        _ping_unused(engine.sync_engine)
        return engine
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000},
    )
    _configure_sqlite(engine.sync_engine)
    return engine


def _configure_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        timeout_ms = int(engine_client.IDLE_TRANSACTION_S * 1000)
        cursor.execute(f"SET idle_in_transaction_session_timeout = {timeout_ms}")
        cursor.close()
        connection.commit()


def _ping_unused(engine: Engine) -> None:
    """Look whether a connection still works before it is used again, as `pool_pre_ping` does, but
    not where it worked a moment ago: that is a round trip with every query."""
    dialect = engine.dialect

    @event.listens_for(engine, "checkin")
    def on_checkin(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def on_checkout(
        connection: DBAPIConnection, record: ConnectionPoolEntry, _fairy: PoolProxiedConnection
    ) -> None:
        if time.monotonic() - record.info.get("used_at", time.monotonic()) < _UNUSED_S:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            # With it go all that were made before: the server was restarted, or the network cut.
            raise InvalidatePoolError from error


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
