"""The table of simulations."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json
from app.models.base import AnswerColumns, Base, JobColumns


class Simulation(AnswerColumns, JobColumns, Base):
    """One request with its prediction."""

    __tablename__ = "simulation"
    kind: ClassVar[str] = "simulation"
    prefix: ClassVar[str] = "sim"

    prediction: Mapped[dict[str, Any] | None] = mapped_column(Json)
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
