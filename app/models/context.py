"""The table of measured contexts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import UtcDateTime, utc_now
from app.models.base import Base


class DeviceContext(Base):
    """What a context took on a device, as the last worker there measured it; outlives it."""

    __tablename__ = "device_context"

    profile: Mapped[str] = mapped_column(String(100), primary_key=True)
    context_bytes: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(String(500))
    """Worker, card, driver and CUDA version, in words."""
    measured_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
