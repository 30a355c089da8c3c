"""Which errors of the database pass by themselves, or once there is room on its disk."""

from __future__ import annotations

import sqlite3

from psycopg.errors import DiskFull
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

#: What the drivers raise when the server is away. InternalError: PostgreSQL has ended a session
#: that was idle inside a transaction. PoolTimeout: no connection became free.
AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeout)
_SQLITE_PASSES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def may_pass(error: Exception) -> bool:
    """Whether the same transaction may succeed later: the server is away, the disk is full."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        # SQLite raises an OperationalError for a missing table too.
        return _sqlite_code(error.orig) in _SQLITE_PASSES
    return isinstance(error, AWAY) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def is_full(error: Exception) -> bool:
    """Whether the database's disk has no room left."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) == sqlite3.SQLITE_FULL
    return isinstance(error.orig, DiskFull)


def _sqlite_code(error: sqlite3.Error) -> int:
    """The primary result code; higher bytes say more precisely what it was."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
