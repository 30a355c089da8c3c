"""Reading and storing device profiles."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import insert_or_ignore, row_count
from app.kit.columns import utc_now
from app.models import Device
from planner.devices import BUILTIN, DeviceProfile


async def device_profile(session: AsyncSession, name: str) -> DeviceProfile | None:
    """The profile of that name, if there is one.

    A posted one stands before a built-in one that a later version brought along: what is stored
    refers to it.
    """
    row = await session.get(Device, name)
    return BUILTIN.get(name) if row is None else DeviceProfile.model_validate(row.profile)


async def posted_devices(session: AsyncSession) -> list[Device]:
    """Profiles that users posted, by name."""
    return list((await session.scalars(select(Device).order_by(Device.name))).all())


async def all_profiles(session: AsyncSession) -> dict[str, DeviceProfile]:
    """All profiles by name, those built in first."""
    posted = [DeviceProfile.model_validate(row.profile) for row in await posted_devices(session)]
    return {**BUILTIN, **{profile.name: profile for profile in posted}}


async def device_names(session: AsyncSession) -> list[str]:
    """Names of all profiles, those built in first; at most a hundred of the posted ones."""
    posted = await session.scalars(select(Device.name).order_by(Device.name).limit(100))
    return list(dict.fromkeys((*BUILTIN, *posted.all())))


async def add_device(session: AsyncSession, profile: DeviceProfile) -> bool:
    """Store a profile; False where the name is taken."""
    values = {
        "name": profile.name,
        "profile": profile.model_dump(mode="json"),
        "created_at": utc_now(),
    }
    return await row_count(session, insert_or_ignore(session, Device, values)) == 1
