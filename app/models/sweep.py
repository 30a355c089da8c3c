"""The tables of sweeps."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now
from app.models.base import Base, OwnedColumns


class Sweep(OwnedColumns, Base):
    """What varies in a request. It is no job itself: its simulations are, and say how far it is."""

    __tablename__ = "sweep"
    kind: ClassVar[str] = "sweep"
    prefix: ClassVar[str] = "sweep"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    request: Mapped[dict[str, Any]] = mapped_column(Json)
    model_type: Mapped[str | None] = mapped_column(String(200), index=True)
    task: Mapped[str | None] = mapped_column(String(60), index=True)
    mode: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SweepPoint(Base):
    """One combination of a sweep's values."""

    __tablename__ = "sweep_point"

    sweep_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("sweep.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Its place among all combinations, the last axis the fastest."""
    simulation_id: Mapped[str | None] = mapped_column(
        String(40), ForeignKey("simulation.id", ondelete="RESTRICT"), index=True
    )
    created: Mapped[bool] = mapped_column()
    """Whether the simulation was made for this sweep; it may have been stored before."""
    problem: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """Why there is no simulation: the combination is not right."""
