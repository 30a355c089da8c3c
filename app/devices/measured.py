"""What runs and workers have measured of devices, put into their profiles."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.columns import utc_now
from app.models import DeviceContext, JobStatus, Run
from planner.devices import ByteRange, Calibration, DeviceProfile

_NEWEST_RUNS = 2_000
"""Runs looked at; of the newest ones, since drivers and libraries change."""


@dataclass
class Measurements:
    """Measured contexts and calibrations, by the name of the profile."""

    contexts: dict[str, ByteRange] = field(default_factory=dict)
    calibrations: dict[str, dict[str, Calibration]] = field(default_factory=dict)

    def applied(self, profile: DeviceProfile) -> DeviceProfile:
        """The profile with what was measured in the place of what it says itself."""
        update: dict[str, Any] = {}
        if (context := self.contexts.get(profile.name)) is not None:
            update["context_bytes"] = context
        if (found := self.calibrations.get(profile.name)) is not None:
            update["calibration"] = {**profile.calibration, **found}
        return profile.model_copy(update=update)


async def measurements(session: AsyncSession, device: str | None = None) -> Measurements:
    """What was measured of one device, or of all."""
    contexts = select(DeviceContext)
    runs = (
        select(Run.device, Run.mode, Run.seconds_ratio)
        .where(Run.status == JobStatus.SUCCEEDED, Run.seconds_ratio.is_not(None))
        .order_by(Run.id.desc())
        .limit(_NEWEST_RUNS)
    )
    if device is not None:
        contexts = contexts.where(DeviceContext.profile == device)
        runs = runs.where(Run.device == device)
    ratios: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, mode, ratio in await session.execute(runs):
        if mode is not None and ratio is not None:
            ratios[name][mode].append(ratio)
    return Measurements(
        {row.profile: _range(row) for row in (await session.scalars(contexts)).all()},
        {
            name: {
                mode: Calibration(ratio=median(found), runs=len(found))
                for mode, found in by_mode.items()
            }
            for name, by_mode in ratios.items()
        },
    )


async def remember_context(
    session: AsyncSession, profile: str, context_bytes: int, source: str
) -> None:
    """Keep what a worker measured; the newest measurement of a device stands."""
    await session.merge(
        DeviceContext(
            profile=profile,
            context_bytes=context_bytes,
            source=source[:500],
            measured_at=utc_now(),
        )
    )


def _range(row: DeviceContext) -> ByteRange:
    return ByteRange(
        low_bytes=row.context_bytes,
        high_bytes=row.context_bytes,
        measured=True,
        source=row.source,
    )
