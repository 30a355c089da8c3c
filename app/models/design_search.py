"""The table of design searches."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json
from app.models.base import AnswerColumns, Base, JobColumns


class DesignSearch(AnswerColumns, JobColumns, Base):
    """One space of designs with the best that was found in it."""

    __tablename__ = "design_search"
    kind: ClassVar[str] = "design_search"
    prefix: ClassVar[str] = "search"

    objective: Mapped[str] = mapped_column(String(20))
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """A `planner.designs.answer.DesignSearchAnswer`; NULL until the search has ended."""
    feasible: Mapped[bool | None] = mapped_column()
    best_value: Mapped[float | None] = mapped_column()
    """Of the objective, of the best design; NULL where none is feasible."""
