"""The table of writes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import UtcDateTime, utc_now
from app.models.base import Base


class AuditEntry(Base):
    """A call that could change something, whoever made it and however it ended."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, index=True)
    key_id: Mapped[str | None] = mapped_column(String(40), index=True)
    """NULL where no key was given."""
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(String(300))
    status: Mapped[int] = mapped_column()
    location: Mapped[str | None] = mapped_column(String(300))
    """What the call made, or found made already."""
    client: Mapped[str | None] = mapped_column(String(60))
    request_id: Mapped[str | None] = mapped_column(String(60))
