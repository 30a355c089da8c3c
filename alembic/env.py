"""Alembic's environment: our tables only, on the connection given or that of the settings."""

from __future__ import annotations

from typing import Any, Literal

from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import JSON, Connection, create_engine

from alembic import context
from app.kit.columns import UtcDateTime
from app.models import Base
from app.schema_state import record_compatibility
from app.settings import Settings


def include_name(name: str | None, type_: str, parent_names: dict[str, str | None]) -> bool:
    """The job engine keeps its tables in the same SQLite file: they are not ours to compare."""
    return type_ != "table" or name in Base.metadata.tables


def render_item(type_: str, obj: object, autogen_context: object) -> str | Literal[False]:
    """Write our column types as what they are in the database: migrations outlive the code."""
    if isinstance(obj, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return "sa.JSON()" if isinstance(obj, JSON) else False


def note_step(ctx: MigrationContext, step: MigrationInfo, heads: set[Any], **_: Any) -> None:
    """In the step's own transaction: who may work on the schema from now on."""
    assert ctx.connection is not None
    record_compatibility(ctx.connection, context.script, heads)
    if (report := context.config.attributes.get("report")) is not None and step.is_upgrade:
        report(f"{step.up_revision_id}: {step.up_revision.doc}")


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        render_item=render_item,
        # SQLite cannot alter most things in place.
        render_as_batch=True,
        compare_type=True,
        # One long revision would otherwise keep the locks of all before it.
        transaction_per_migration=True,
        on_version_apply=note_step,
        lock_timeout=context.config.attributes.get("lock_timeout"),
    )
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        migrate(given)
        return
    engine = create_engine(Settings().url) if given is None else given
    with engine.connect() as connection:
        migrate(connection)
        connection.commit()


run()
