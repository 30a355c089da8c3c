"""The description of a device, as data that a user may also POST."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.data import Data
from planner.quantities import Bytes


class ByteRange(Data):
    """Bytes that are known between two bounds only."""

    low_bytes: Bytes
    high_bytes: Bytes
    source: str = Field(max_length=500, description="where the bounds come from")


class DeviceProfile(Data):
    """A device to simulate. `kind` decides which kernels an op takes, hence what is alive."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    kind: Literal["cpu", "cuda"] = Field(
        "cpu", description="whose kernels the step dispatches to; AMD's devices are `cuda` to torch"
    )
    architecture: Annotated[str, Field(pattern=r"^(sm_[0-9]{2,3}|gfx[0-9a-f]{3,4})$")] | None = (
        Field(None, description="instruction set: `sm_90` (NVIDIA), `gfx942` (AMD)")
    )
    multiprocessors: int | None = Field(None, ge=1, le=10_000)
    l2_cache_bytes: Bytes | None = None
    context_bytes: ByteRange | None = Field(
        None, description="what the driver's context and loaded libraries take of the device"
    )
    memory_bytes: Bytes | None = Field(None, description="capacity; none: the host's")
    peak_flops: dict[Annotated[str, Field(max_length=20)], float] = Field(
        {}, max_length=20, description="peak FLOP/s by dtype, e.g. {'fp32': 1e12}"
    )
    memory_bandwidth_bytes_per_s: float | None = Field(None, gt=0)
    host_bandwidth_bytes_per_s: float | None = Field(
        None, gt=0, description="each way between device and host memory; for offloading"
    )
    op_overhead_s: float = Field(0.0, ge=0, le=1, description="time that an op takes at least")
    source: str | None = Field(None, max_length=500, description="where the numbers come from")

    @property
    def compute_capability(self) -> tuple[int, int] | None:
        """(major, minor) of an NVIDIA device, e.g. (9, 0) for `sm_90`; none for others."""
        if self.architecture is None or not self.architecture.startswith("sm_"):
            return None
        number = int(self.architecture.removeprefix("sm_"))
        return number // 10, number % 10


BUILTIN: dict[str, DeviceProfile] = {
    "cpu": DeviceProfile(
        name="cpu",
        kind="cpu",
        peak_flops={"fp32": 1e11, "bf16": 1e11, "fp16": 1e11},
        memory_bandwidth_bytes_per_s=2e10,
        op_overhead_s=3e-6,
        source="kernels of PyTorch's CPU build; capacity is the worker's host's; speeds are those "
        "of two server cores, nominal, so that plans do not depend on how busy the host is",
    )
}
