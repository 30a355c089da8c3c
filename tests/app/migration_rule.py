"""The rule for revisions (docs/upgrading.md), as far as it can be read off what a revision does.

A revision's operations are recorded, not executed: its `upgrade` runs for PostgreSQL in Alembic's
offline mode, and whatever it calls on `op` ends here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from unittest import mock

from alembic.operations import Operations, ops
from alembic.operations.base import AbstractOperations
from alembic.runtime.migration import MigrationContext

#: What may be executed as text while older code is at work.
_HARMLESS = re.compile(r"\s*(SET|RESET|SELECT|INSERT|ANALYZE)\b", re.I)


def breaches(upgrade: Callable[[], None]) -> list[str]:
    """What of the upgrade older code may not survive, or would keep it waiting; in its order."""
    recorded = _record(upgrade)
    created = {op.table_name for op in recorded if isinstance(op, ops.CreateTableOp)}
    added = {(op.table_name, op.column.name) for op in recorded if isinstance(op, ops.AddColumnOp)}
    found = (_breach(op, created, added) for op in recorded)
    return [breach for breach in found if breach is not None]


def _record(upgrade: Callable[[], None]) -> list[ops.MigrateOperation]:
    recorded: list[ops.MigrateOperation] = []
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={"as_sql": True, "output_buffer": io.StringIO(), "lock_timeout": "5s"},
    )
    with (
        Operations.context(context),
        mock.patch.object(AbstractOperations, "invoke", lambda _, op: recorded.append(op)),
    ):
        upgrade()
    return recorded


def _breach(op: ops.MigrateOperation, created: set[str], added: set[tuple[str, str]]) -> str | None:
    table = getattr(op, "table_name", None) or getattr(op, "source_table", None)
    if table in created:
        return None
    match op:
        case ops.CreateTableOp() | ops.BulkInsertOp() | ops.CreateTableCommentOp():
            return None
        case ops.AddColumnOp():
            column = op.column
            fine = column.nullable or column.server_default is not None
            return None if fine else f"{table}.{column.name} is added without a server default"
        case ops.CreateIndexOp() | ops.DropIndexOp():
            fine = op.kw.get("postgresql_concurrently")
            return None if fine else f"index {op.index_name} locks {table}: use create_index"
        case ops.CreateForeignKeyOp():
            columns = {(table, name) for name in op.local_cols}
            return None if columns <= added else f"{table} gets the constraint {op.constraint_name}"
        case ops.AddConstraintOp():
            return f"{table} gets the constraint {op.constraint_name}"
        case ops.AlterColumnOp():
            return f"{table}.{op.column_name} changes"
        case ops.DropColumnOp():
            return f"{table}.{op.column_name} is dropped"
        case ops.ExecuteSQLOp():
            text = str(op.sqltext)
            return None if _HARMLESS.match(text) else f"executes {text.strip()[:60]!r}"
    return f"{type(op).__name__} on {table}"
