"""`/v1/devices`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.context import ContextDep
from app.devices import repository
from app.devices.measured import Measurements, measurements
from app.errors import Conflict, Forbidden, NotFound
from app.jobs.headers import SharedQuery
from app.jobs.schemas import Sharing, problems
from app.kit.json_body import StrictJsonRoute
from app.models import Device
from planner.devices import BUILTIN, DeviceProfile, check_profile

router = APIRouter(prefix="/v1/devices", tags=["devices"], route_class=StrictJsonRoute)


class DeviceResource(DeviceProfile):
    """A device profile with what this service has measured of it, and where it comes from."""

    origin: Literal["builtin", "posted"]
    owner: str | None = Field(None, description="of a posted one: whose keys may share it")
    shared: bool = Field(False, description="of a posted one: whether everybody sees it")


class DeviceList(BaseModel):
    """All device profiles: built-in ones first."""

    items: list[DeviceResource]
    next_cursor: None = None


@router.get("", operation_id="listDevices", responses=problems())
async def list_(context: ContextDep) -> DeviceList:
    """All device profiles that you see."""
    async with context.database.read() as session:
        profiles = await repository.all_profiles(session, context.caller)
        posted = await repository.posted_devices(session, context.caller)
        measured = await measurements(session)
    rows = {row.name: row for row in posted}
    items = [_resource(each, measured, rows.get(name)) for name, each in profiles.items()]
    return DeviceList(items=items)


@router.get("/{name}", operation_id="getDevice", responses=problems(404))
async def get(name: str, context: ContextDep) -> DeviceResource:
    """One device profile."""
    profile = None
    if "\0" not in name:
        async with context.database.read() as session:
            profile = await repository.visible_profile(session, context.caller, name)
            row = await session.get(Device, name)
            measured = await measurements(session, name)
    if profile is None:
        raise NotFound(f"there is no device profile {name[:60]!r}")
    return _resource(profile, measured, row)


@router.post("", operation_id="createDevice", status_code=201, responses=problems(409, 422))
async def create(
    body: DeviceProfile, response: Response, context: ContextDep, shared: SharedQuery = None
) -> DeviceResource:
    """Add a device profile. It can be neither changed nor deleted: simulations refer to it.

    Its name is taken for everybody, whoever sees it.
    """
    check_profile(body)
    owner = context.caller.owner
    row = Device(
        name=body.name,
        owner=owner,
        shared=context.settings.share_by_default if shared is None else shared,
    )
    taken = body.name in BUILTIN
    if not taken:
        async with context.database.write() as session:
            taken = not await repository.add_device(session, body, owner, row.shared)
    if taken:
        raise Conflict(f"there is a device profile {body.name!r} already; choose another name")
    response.headers["Location"] = f"{router.prefix}/{body.name}"
    return _resource(body, Measurements(), row)


@router.patch("/{name}", operation_id="updateDevice", responses=problems(403, 404, 422))
async def update(name: str, body: Sharing, context: ContextDep) -> DeviceResource:
    """Let everybody see a posted profile, or no longer."""
    found = await get(name, context)
    async with context.database.write() as session:
        row = await session.get(Device, name)
        if row is None:
            raise Forbidden(f"{name} is built in: everybody sees it")
        context.caller.require_own(row, name)
        row.shared = body.shared
    return found.model_copy(update={"shared": body.shared})


def _resource(profile: DeviceProfile, measured: Measurements, row: Device | None) -> DeviceResource:
    return DeviceResource.model_validate(
        {
            **measured.applied(profile).model_dump(),
            "origin": "builtin" if row is None else "posted",
            "owner": None if row is None else row.owner,
            "shared": row is not None and row.shared,
        }
    )
