from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg.errors
import pytest
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.engine.outage import outlasting
from app.kit.outages import is_full, may_pass


def sqlite_error(statement: str, pages: int = 1_000_000) -> OperationalError:
    """What SQLite raises for a statement, in a database of so many pages."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute(statement)
    return OperationalError(statement, None, caught.value)


def postgres_error(error: psycopg.Error, kind=OperationalError) -> DBAPIError:
    return kind("SELECT 1", None, error)


FULL_SQLITE = sqlite_error("INSERT INTO t VALUES (zeroblob(100000))", pages=3)
FULL_POSTGRES = postgres_error(psycopg.errors.DiskFull("no space left on device"))
PASSING = [
    FULL_SQLITE,
    FULL_POSTGRES,
    postgres_error(psycopg.OperationalError("connection refused")),
    postgres_error(psycopg.errors.AdminShutdown("terminating connection")),
    postgres_error(psycopg.errors.IdleInTransactionSessionTimeout("idle"), InternalError),
    PoolTimeout("no connection became free"),
]
LASTING = [
    sqlite_error("SELECT * FROM nowhere"),
    postgres_error(psycopg.errors.UndefinedTable("nowhere"), ProgrammingError),
    ValueError("a bug"),
]


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_what_may_pass_is_told_from_what_will_not(error):
    assert may_pass(error)


@pytest.mark.parametrize("error", LASTING, ids=str)
def test_a_mistake_does_not_pass(error):
    assert not may_pass(error)


def test_only_a_full_disk_is_full():
    full = [error for error in (*PASSING, *LASTING) if is_full(error)]
    assert full == [FULL_SQLITE, FULL_POSTGRES]


async def test_a_transaction_is_repeated_until_the_database_answers():
    errors = [PASSING[2], FULL_SQLITE]

    @outlasting
    async def transaction(value: int) -> int:
        if errors:
            raise errors.pop()
        return value

    assert await transaction(7) == 7
    assert not errors


async def test_a_mistake_is_raised_at_once():
    @outlasting
    async def transaction() -> None:
        raise LASTING[0]

    with pytest.raises(OperationalError, match="nowhere"):
        await transaction()
