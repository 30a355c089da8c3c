"""The description of a device, as data that a user may also POST."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from planner.allocator import AllocatorSettings
from planner.data import Data
from planner.devices.tiers import MemoryTier, Placement, Rate, check_tiers
from planner.quantities import Bytes

FlopsKey = Literal["fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8"]
Mode = Literal["train", "inference", "generation"]


class ByteRange(Data):
    """Bytes that are known between two bounds only; a measured number has both the same."""

    low_bytes: Bytes
    high_bytes: Bytes
    measured: bool = Field(False, description="by a worker of this service, on such a device")
    source: str = Field(max_length=500, description="where the bounds come from")


class Calibration(Data):
    """How measured steps compare with the roofline of a profile."""

    ratio: Rate = Field(description="measured seconds over the roofline's: the runs' median")
    runs: int = Field(ge=1, description="runs that the ratio is the median of")


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
    memory_bytes: Bytes | None = Field(
        None, description="capacity as the driver reports it to CUDA; none: the host's"
    )
    peak_flops: dict[FlopsKey, Rate] = Field(
        {}, description="dense peak FLOP/s by dtype of a matrix product, e.g. {'fp32': 1e12}"
    )
    memory_bandwidth_bytes_per_s: float | None = Field(None, gt=0)
    host_bandwidth_bytes_per_s: float | None = Field(
        None, gt=0, description="each way between device and host memory; for offloading"
    )
    op_overhead_s: float = Field(0.0, ge=0, le=1, description="time that an op takes at least")
    calibration: dict[Mode, Calibration] = Field(
        {}, description="by mode of the workload; a service fills it in from its own runs"
    )
    tiers: list[MemoryTier] = Field(
        [], max_length=16, description="memories that are told apart; answers say what each holds"
    )
    placement: list[Placement] = Field(
        [],
        max_length=100,
        description="what the tiers keep, by the first rule that takes it; the rest is kept, as "
        "torch has it, in the last tier",
    )
    allocator: str | None = Field(
        None,
        max_length=500,
        description="PYTORCH_ALLOC_CONF on the device, such as `expandable_segments:True`",
    )
    driver_names: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        [], max_length=20, description="names that the driver has for such a device"
    )
    source: str | None = Field(None, max_length=1_000, description="where the numbers come from")
    limitations: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(
        [], max_length=20, description="what is not known of it; predictions repeat this"
    )

    @field_validator("allocator")
    @classmethod
    def _is_understood(cls, value: str | None) -> str | None:
        if value is not None:
            AllocatorSettings.parse(value)
        return value

    @model_validator(mode="after")
    def _has_its_tiers(self) -> DeviceProfile:
        check_tiers(self.tiers, self.placement)
        return self

    @property
    def compute_capability(self) -> tuple[int, int] | None:
        """(major, minor) of an NVIDIA device, e.g. (9, 0) for `sm_90`; none for others."""
        if self.architecture is None or not self.architecture.startswith("sm_"):
            return None
        number = int(self.architecture.removeprefix("sm_"))
        return number // 10, number % 10
