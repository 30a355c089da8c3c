"""Alembic's environment: our tables only, on the connection given or that of the settings."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import JSON, Connection, create_engine

from alembic import context
from app.kit.columns import UtcDateTime
from app.models import Base
from app.settings import Settings


def include_name(name: str | None, type_: str, parent_names: dict[str, str | None]) -> bool:
    """The job engine keeps its tables in the same SQLite file: they are not ours to compare."""
    return type_ != "table" or name in Base.metadata.tables


def render_item(type_: str, obj: object, autogen_context: object) -> str | Literal[False]:
    """Write our column types as what they are in the database: migrations outlive the code."""
    if isinstance(obj, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return "sa.JSON()" if isinstance(obj, JSON) else False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        render_item=render_item,
        # SQLite cannot alter most things in place.
        render_as_batch=True,
        compare_type=True,
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
