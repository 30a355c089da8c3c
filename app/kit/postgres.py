"""What a migration of PostgreSQL needs so that it blocks nobody for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from alembic import op

Report = Callable[[str], None]
_LOCK_NOT_AVAILABLE = "55P03"
_POLL_S = 0.5
_LONGEST_PAUSE_S = 30.0


@contextmanager
def alone(engine: Engine, key: int, report: Report, patience_s: float = 900) -> Iterator[None]:
    """Hold the advisory lock `key` during the block.

    Asks again and again rather than wait inside PostgreSQL, where the waiting statement's snapshot
    would keep a concurrent index build of the one that holds the lock waiting for it in turn.

    Raises:
        TimeoutError: someone else held it for `patience_s` seconds.
    """
    deadline = time.monotonic() + patience_s
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        taken = text("SELECT pg_try_advisory_lock(:key)").bindparams(key=key)
        told = False
        while not connection.scalar(taken):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another migration has been running for {patience_s:.0f} s")
            if not told:
                report("another migration is running: waiting for it")
                told = True
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)").bindparams(key=key))


def patiently(work: Callable[[], None], report: Report, attempts: int = 10) -> None:
    """Do the work, and again after a pause, doubled each time, while `lock_timeout` ends it.

    Raises:
        TimeoutError: each attempt was ended by it.
    """
    pause = 1.0
    for attempt in range(1, attempts + 1):
        try:
            return work()
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            if attempt < attempts:
                report(f"a table is locked by a longer transaction: again in {pause:.0f} s")
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
    raise TimeoutError(
        f"a table stayed locked in {attempts} attempts; nothing of that revision is applied: end "
        "the transaction that pg_stat_activity shows, and call it again"
    )


def create_index(name: str, table: str, columns: list[str], *, unique: bool = False) -> None:
    """In a revision: an index on a table that exists, built without keeping writers out.

    What was done before it in the revision is committed, so let it be the last thing there. In a
    transaction of somebody else's, and on SQLite, it is a plain index.
    """
    context = op.get_context()
    # Given by `migrate`, whose transactions are the revision's own.
    lock_timeout = context.opts.get("lock_timeout")
    if context.dialect.name != "postgresql" or lock_timeout is None:
        op.create_index(name, table, columns, unique=unique)
        return
    with context.autocommit_block():
        # It waits for older transactions while it blocks nobody.
        op.execute("SET lock_timeout = 0")
        # An attempt that was broken off leaves an invalid one.
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(name, table, columns, unique=unique, postgresql_concurrently=True)
        op.execute(f"SET lock_timeout = '{lock_timeout}'")
