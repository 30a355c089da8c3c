"""The table of API keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now
from app.models.base import Base


class ApiKey(Base):
    """A key that `headroom keys` made. Its text is not stored, only a digest of it."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(8), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(Json)
    owner: Mapped[str | None] = mapped_column(String(100))
    """Of what is stored with this key; NULL: the key's name."""
    max_pending: Mapped[int | None] = mapped_column()
    """Most unfinished jobs of the owner; NULL: as the settings say."""
    rate: Mapped[str | None] = mapped_column(String(40))
    """Calls within a time, such as 600/minute; NULL: as the settings say."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """To the minute."""
