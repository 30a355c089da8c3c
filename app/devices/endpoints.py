"""`/v1/devices`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.context import ContextDep
from app.devices import repository
from app.errors import Conflict, NotFound
from app.jobs.schemas import problems
from app.kit.json_body import StrictJsonRoute
from planner.devices import BUILTIN, DeviceProfile

router = APIRouter(prefix="/v1/devices", tags=["devices"], route_class=StrictJsonRoute)


class DeviceResource(DeviceProfile):
    """A device profile, and where it comes from."""

    origin: Literal["builtin", "posted"]


class DeviceList(BaseModel):
    """All device profiles: built-in ones first."""

    items: list[DeviceResource]
    next_cursor: None = None


@router.get("", operation_id="listDevices", responses=problems())
async def list_(context: ContextDep) -> DeviceList:
    """All device profiles."""
    async with context.database.read() as session:
        posted = await repository.posted_devices(session)
    profiles = [DeviceProfile.model_validate(device.profile) for device in posted]
    return DeviceList(items=[_resource(each) for each in (*BUILTIN.values(), *profiles)])


@router.get("/{name}", operation_id="getDevice", responses=problems(404))
async def get(name: str, context: ContextDep) -> DeviceResource:
    """One device profile."""
    profile = None
    if "\0" not in name:
        async with context.database.read() as session:
            profile = await repository.device_profile(session, name)
    if profile is None:
        raise NotFound(f"there is no device profile {name[:60]!r}")
    return _resource(profile)


@router.post("", operation_id="createDevice", status_code=201, responses=problems(409, 422))
async def create(body: DeviceProfile, response: Response, context: ContextDep) -> DeviceResource:
    """Add a device profile. It can be neither changed nor deleted: simulations refer to it."""
    taken = body.name in BUILTIN
    if not taken:
        async with context.database.write() as session:
            taken = not await repository.add_device(session, body)
    if taken:
        raise Conflict(f"there is a device profile {body.name!r} already; choose another name")
    response.headers["Location"] = f"{router.prefix}/{body.name}"
    return _resource(body)


def _resource(profile: DeviceProfile) -> DeviceResource:
    origin = "builtin" if profile.name in BUILTIN else "posted"
    return DeviceResource.model_validate({**profile.model_dump(), "origin": origin})
