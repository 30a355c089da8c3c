"""The table of idempotency keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import UtcDateTime, utc_now
from app.models.base import Base


class IdempotencyKey(Base):
    """A key that a client gave with a POST, written in the transaction that made the resource."""

    __tablename__ = "idempotency_key"

    scope: Mapped[str] = mapped_column(String(160), primary_key=True)
    """Kind of job and owner: what keys are told apart by."""
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
