"""Which schema the database has, and whether this version's code works on it.

While a fleet is upgraded, the code of two releases works on one schema: the newer one, since it is
migrated first. A revision that older code cannot live with says so by `oldest_compatible`, the
oldest revision whose code goes on working; what holds is kept in the database, where older code,
which does not know the newer revisions, can read it. docs/upgrading.md has the rule for revisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, insert, inspect, select

from app.models import SchemaCompatibility


@dataclass(frozen=True)
class SchemaState:
    """The database's schema beside the one of this version.

    Attributes:
        current: the database's revision; None where it has no tables.
        head: the newest revision that this version knows.
        pending: revisions that `headroom db upgrade` would apply, in order.
        oldest_compatible: the oldest revision whose code works on the database's schema; None where
            the database is too old to know.
        is_newer: whether a newer version has migrated the database.
        serves: whether this version works on it.
    """

    current: str | None
    head: str
    pending: tuple[str, ...]
    oldest_compatible: str | None
    is_newer: bool
    serves: bool


def read_state(connection: Connection, scripts: ScriptDirectory) -> SchemaState:
    """What the database behind the connection has, beside what these scripts would make of it."""
    current = MigrationContext.configure(connection).get_current_revision()
    head = scripts.get_current_head()
    assert head is not None
    known = [script.revision for script in scripts.iterate_revisions(head, "base")]
    oldest = _recorded(connection) if current is not None else None
    if current is None or current in known:
        newer = known if current is None else known[: known.index(current)]
        return SchemaState(current, head, tuple(reversed(newer)), oldest, False, not newer)
    return SchemaState(current, head, (), oldest, True, oldest in known)


def record_compatibility(
    connection: Connection, scripts: ScriptDirectory, heads: Iterable[str]
) -> None:
    """Write which code works on the schema of these heads; called after each migration step."""
    oldest = _declared(scripts, heads)
    if oldest is not None:
        connection.execute(delete(SchemaCompatibility))
        connection.execute(insert(SchemaCompatibility).values(oldest_revision=oldest))


def _declared(scripts: ScriptDirectory, heads: Iterable[str]) -> str | None:
    """What the newest revision that says anything about it says."""
    for script in scripts.iterate_revisions(tuple(heads), "base"):
        if (oldest := getattr(script.module, "oldest_compatible", None)) is not None:
            return str(oldest)
    return None


def _recorded(connection: Connection) -> str | None:
    if not inspect(connection).has_table(SchemaCompatibility.__tablename__):
        return None
    return connection.scalar(select(SchemaCompatibility.oldest_revision))
