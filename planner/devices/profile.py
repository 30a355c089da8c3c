"""The description of a device, as data that a user may also POST."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.quantities import Bytes
from planner.data import Data


class DeviceProfile(Data):
    """A device to simulate. `kind` decides which kernels an op takes, hence what is alive."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    kind: Literal["cpu"] = Field("cpu", description="whose kernels the step dispatches to")
    memory_bytes: Bytes | None = Field(None, description="capacity; none: the host's")
    peak_flops: dict[Annotated[str, Field(max_length=20)], float] = Field(
        {}, max_length=20, description="peak FLOP/s by dtype, e.g. {'fp32': 1e12}"
    )
    memory_bandwidth_bytes_per_s: float | None = Field(None, gt=0)
    source: str | None = Field(None, max_length=500, description="where the numbers come from")


BUILTIN: dict[str, DeviceProfile] = {
    "cpu": DeviceProfile(
        name="cpu",
        kind="cpu",
        source="kernels of PyTorch's CPU build; capacity and speed are the worker's host's",
    )
}
