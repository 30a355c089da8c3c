"""Reading and storing device profiles."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.database import insert_or_ignore, row_count
from app.kit.columns import utc_now
from app.models import Device
from planner.devices import BUILTIN, DeviceProfile


async def device_profile(session: AsyncSession, name: str) -> DeviceProfile | None:
    """The profile of that name, if there is one, for what was stored about it.

    A posted one stands before a built-in one that a later version brought along: what is stored
    refers to it.
    """
    row = await session.get(Device, name)
    return BUILTIN.get(name) if row is None else DeviceProfile.model_validate(row.profile)


async def visible_profile(session: AsyncSession, caller: Caller, name: str) -> DeviceProfile | None:
    """The profile of that name, if there is one that the caller sees."""
    row = await session.get(Device, name)
    hidden = row is not None and not caller.may_see(row)
    return None if hidden else await device_profile(session, name)


async def posted_devices(session: AsyncSession, caller: Caller) -> list[Device]:
    """Profiles that users posted and that the caller sees, by name."""
    posted = select(Device).where(caller.visible(Device)).order_by(Device.name)
    return list((await session.scalars(posted)).all())


async def all_profiles(session: AsyncSession, caller: Caller) -> dict[str, DeviceProfile]:
    """All profiles that the caller sees by name, those built in first."""
    rows = await posted_devices(session, caller)
    posted = [DeviceProfile.model_validate(row.profile) for row in rows]
    return {**BUILTIN, **{profile.name: profile for profile in posted}}


async def device_names(session: AsyncSession, caller: Caller) -> list[str]:
    """Names of all profiles that the caller sees, those built in first; at most a hundred of the
    posted ones.
    """
    posted = select(Device.name).where(caller.visible(Device)).order_by(Device.name).limit(100)
    return list(dict.fromkeys((*BUILTIN, *await session.scalars(posted))))


async def add_device(
    session: AsyncSession, profile: DeviceProfile, owner: str | None, shared: bool
) -> bool:
    """Store a profile; False where the name is taken, also by one that others do not see."""
    values = {
        "owner": owner,
        "shared": shared,
        "name": profile.name,
        "profile": profile.model_dump(mode="json"),
        "created_at": utc_now(),
    }
    return await row_count(session, insert_or_ignore(session, Device, values)) == 1
