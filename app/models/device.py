"""The table of device profiles that users posted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now
from app.models.base import Base, OwnedColumns


class Device(OwnedColumns, Base):
    """A posted device profile. It never changes: stored simulations name it."""

    __tablename__ = "device"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    profile: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
