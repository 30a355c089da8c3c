"""Which code works on the schema."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class SchemaCompatibility(Base):
    """One row: the oldest revision whose code works on the schema that the database has now."""

    __tablename__ = "schema_compatibility"

    oldest_revision: Mapped[str] = mapped_column(String(32), primary_key=True)
