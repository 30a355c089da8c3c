"""What a real run measured, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from planner.prediction import Phase


class MeasuredPhase(Phase):
    """One stretch of the workload as it really was."""

    reserved_bytes: int | None = Field(
        None, description="most bytes the caching allocator held in the phase"
    )
    requested_bytes: int | None = Field(
        None, description="most bytes asked of the caching allocator, before its rounding"
    )
    device_bytes: int | None = Field(
        None, description="what the driver showed when the phase ended, context included"
    )


class Measured(BaseModel):
    """The truth beside a prediction. All `*_bytes` are exact, as the allocator reported them."""

    model_config = ConfigDict(frozen=True)

    peak_bytes: int = Field(description="most live bytes at any point of the workload")
    peak_phase: str
    phases: list[MeasuredPhase]
    start_bytes: int = Field(description="live bytes when the first phase begins")
    reserved_bytes: int | None = None
    requested_bytes: int | None = None
    device_bytes: int | None = None
    step_seconds: float | None = Field(
        None, description="median of `step_seconds_samples`: steps after warm-up, without profiler"
    )
    step_seconds_samples: list[float] = []
    notes: list[str] = Field([], description="what was bounded or left out, in words")
