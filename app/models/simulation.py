"""The table of simulations."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json
from app.models.base import Base, JobColumns


class Simulation(JobColumns, Base):
    """One request with its prediction."""

    __tablename__ = "simulation"
    kind: ClassVar[str] = "simulation"
    prefix: ClassVar[str] = "sim"

    request: Mapped[dict[str, Any]] = mapped_column(Json)
    versions: Mapped[dict[str, str]] = mapped_column(Json)
    content_hash: Mapped[str] = mapped_column(String(64), index=True)
    reusable_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The content hash while an identical request may share this row; NULL once it has failed
    or was cancelled. Unique, so that requests arriving together make one row."""

    model_type: Mapped[str | None] = mapped_column(String(200), index=True)
    task: Mapped[str | None] = mapped_column(String(60), index=True)
    mode: Mapped[str] = mapped_column(String(20))
    device: Mapped[str] = mapped_column(String(100), index=True)

    prediction: Mapped[dict[str, Any] | None] = mapped_column(Json)
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
