"""The table of plans."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json
from app.models.base import AnswerColumns, Base, JobColumns


class Plan(AnswerColumns, JobColumns, Base):
    """One request with the cheapest strategy found for its budget."""

    __tablename__ = "plan"
    kind: ClassVar[str] = "plan"
    prefix: ClassVar[str] = "plan"

    plan: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """A `planner.plans.Plan`; NULL until it is found. One that nothing fits is found too."""
    feasible: Mapped[bool | None] = mapped_column()
    budget_bytes: Mapped[int | None] = mapped_column(BigInteger)
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Of the certified prediction; NULL where nothing fits."""
