"""The table of runs."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json
from app.models.base import Base, JobColumns


class Run(JobColumns, Base):
    """One real execution of a simulation's or a plan's request, with what was measured."""

    __tablename__ = "run"
    kind: ClassVar[str] = "run"
    prefix: ClassVar[str] = "run"

    simulation_id: Mapped[str | None] = mapped_column(
        String(40), ForeignKey("simulation.id", ondelete="RESTRICT"), index=True
    )
    plan_id: Mapped[str | None] = mapped_column(
        String(40), ForeignKey("plan.id", ondelete="RESTRICT"), index=True
    )
    """Either this or `simulation_id` is set."""
    labels: Mapped[dict[str, str]] = mapped_column(Json)
    model_type: Mapped[str | None] = mapped_column(String(200))
    task: Mapped[str | None] = mapped_column(String(60))
    mode: Mapped[str | None] = mapped_column(String(20))
    device: Mapped[str] = mapped_column(String(100))

    measured: Mapped[dict[str, Any] | None] = mapped_column(Json)
    environment: Mapped[dict[str, Any] | None] = mapped_column(Json)
    worker: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """The worker as it was when it took the run: workers come and go."""
    predicted: Mapped[dict[str, Any]] = mapped_column(Json)
    relative_error: Mapped[float | None] = mapped_column()
    phases: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    seconds_ratio: Mapped[float | None] = mapped_column()
    """Measured step over the roofline's; NULL where it ran on another device than the profile's."""

    baseline: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """Of a plan: what the step takes with nothing applied, or why that was not measured."""
    gradients_match: Mapped[dict[str, Any] | None] = mapped_column(Json)
    slowdown: Mapped[float | None] = mapped_column()


# Holds all that a scrape of the newest prediction errors reads: the rows themselves are wide.
Index(None, Run.finished_at, Run.device, Run.model_type, Run.relative_error)
