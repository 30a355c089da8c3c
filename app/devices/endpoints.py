"""`/v1/devices`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.context import ContextDep
from app.devices import repository
from app.devices.measured import Measurements, measurements
from app.errors import Conflict, NotFound
from app.jobs.schemas import problems
from app.kit.json_body import StrictJsonRoute
from planner.devices import BUILTIN, DeviceProfile, check_profile

router = APIRouter(prefix="/v1/devices", tags=["devices"], route_class=StrictJsonRoute)


class DeviceResource(DeviceProfile):
    """A device profile with what this service has measured of it, and where it comes from."""

    origin: Literal["builtin", "posted"]


class DeviceList(BaseModel):
    """All device profiles: built-in ones first."""

    items: list[DeviceResource]
    next_cursor: None = None


@router.get("", operation_id="listDevices", responses=problems())
async def list_(context: ContextDep) -> DeviceList:
    """All device profiles."""
    async with context.database.read() as session:
        profiles = await repository.all_profiles(session)
        measured = await measurements(session)
    return DeviceList(items=[_resource(each, measured) for each in profiles.values()])


@router.get("/{name}", operation_id="getDevice", responses=problems(404))
async def get(name: str, context: ContextDep) -> DeviceResource:
    """One device profile."""
    profile = None
    if "\0" not in name:
        async with context.database.read() as session:
            profile = await repository.device_profile(session, name)
            measured = await measurements(session, name)
    if profile is None:
        raise NotFound(f"there is no device profile {name[:60]!r}")
    return _resource(profile, measured)


@router.post("", operation_id="createDevice", status_code=201, responses=problems(409, 422))
async def create(body: DeviceProfile, response: Response, context: ContextDep) -> DeviceResource:
    """Add a device profile. It can be neither changed nor deleted: simulations refer to it."""
    check_profile(body)
    taken = body.name in BUILTIN
    if not taken:
        async with context.database.write() as session:
            taken = not await repository.add_device(session, body)
    if taken:
        raise Conflict(f"there is a device profile {body.name!r} already; choose another name")
    response.headers["Location"] = f"{router.prefix}/{body.name}"
    return _resource(body, Measurements())


def _resource(profile: DeviceProfile, measured: Measurements) -> DeviceResource:
    return DeviceResource.model_validate(
        {
            **measured.applied(profile).model_dump(),
            "origin": "builtin" if BUILTIN.get(profile.name) is profile else "posted",
        }
    )
