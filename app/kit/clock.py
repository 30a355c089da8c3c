"""The database's clock, the only one that all processes share: theirs may differ by minutes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.kit.columns import UtcDateTime


class database_now(FunctionElement[datetime]):
    """SQL: the time at which the database evaluates this, not that of the transaction's start."""

    type = UtcDateTime()
    inherit_cache = True


async def current_time(session: AsyncSession) -> datetime:
    """What the database's clock says."""
    now: datetime | None = await session.scalar(select(database_now()))
    assert now is not None
    return now


@compiles(database_now, "postgresql")
def _on_postgresql(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    return "clock_timestamp()"


@compiles(database_now, "sqlite")
def _on_sqlite(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    # As SQLAlchemy writes times there: with six digits of seconds, of which SQLite knows three.
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
