"""The table of artifacts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import UtcDateTime, utc_now
from app.models.base import Base


class Artifact(Base):
    """A file that a job left: the tape of a simulation, the measured timeline of a run."""

    __tablename__ = "artifact"

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Bytes before compression."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """zlib-compressed."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
