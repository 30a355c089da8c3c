"""The answer of a simulation, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from planner.devices.profile import ByteRange


class Phase(BaseModel):
    """One stretch of the workload, such as `step1.backward`."""

    model_config = ConfigDict(frozen=True)

    name: str
    peak_bytes: int = Field(description="most live bytes at any point of the phase")
    end_bytes: int = Field(description="live bytes when the phase ends")
    reserved_bytes: int | None = Field(
        None, description="most that the device's allocator holds in the phase"
    )


class Categories(BaseModel):
    """Live bytes at the peak by what they are for; they add up to the peak."""

    model_config = ConfigDict(frozen=True)

    parameters: int = 0
    gradients: int = 0
    optimizer_state: int = 0
    activations: int = Field(0, description="tensors saved for backward")
    temporaries: int = 0
    inputs: int = 0
    buffers: int = 0
    workspace: int = Field(0, description="scratch inside kernels")


class Holder(BaseModel):
    """Something alive at the peak: a tensor, or all tensors of a module."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="module path, or `op of module` for a tensor")
    bytes: int
    category: str | None = None
    phase: str | None = Field(None, description="phase in which the tensor was made")
    count: int = 1


class OutOfMemory(BaseModel):
    """The request that the device cannot serve, and how its memory is used at that moment."""

    model_config = ConfigDict(frozen=True)

    phase: str
    tensor: str = Field(description="what asks: a tensor's name, or `op in module`")
    requested_bytes: int
    free_bytes: int = Field(description="not reserved, after all cached memory was given up")
    allocated_bytes: int
    reserved_bytes: int
    unallocated_bytes: int = Field(description="reserved and in no use: lost to fragmentation")


class TierUse(BaseModel):
    """What one memory of a device holds, and what it moves at least in one step."""

    model_config = ConfigDict(frozen=True)

    name: str
    capacity_bytes: int | None
    peak_bytes: int = Field(description="most that it holds at any moment of the workload")
    peak_phase: str
    fits: bool | None = Field(description="null where the capacity is not known")
    at_peak: Categories = Field(description="adds up to peak_bytes, masks included")
    mask_bytes: int = Field(description="bit masks, of the bytes at the peak")
    read_bytes: int = Field(description="each tensor once a step, however often it is read")
    written_bytes: int = Field(description="each tensor once a step, however often it is written")
    seconds: float | None = Field(
        description="that its bandwidth needs for these at least; null where it is not known"
    )
    joules: float | None = Field(description="that these take at least; null where not known")


class Prediction(BaseModel):
    """What the simulated device holds over the whole workload. All `*_bytes` are exact integers."""

    model_config = ConfigDict(frozen=True)

    peak_bytes: int
    peak_phase: str
    phases: list[Phase]
    at_peak: Categories
    largest_at_peak: list[Holder] = Field(
        description="the largest single tensors alive at the peak"
    )
    modules_at_peak: list[Holder] = Field(
        description="live bytes at the peak by module, largest first"
    )
    reserved_bytes: int | None = Field(
        None, description="most that the device's caching allocator holds"
    )
    fits: bool | None = Field(
        None,
        description="whether the device can serve every request, by replay through its allocator; "
        "null where that depends on what the context takes, or the device has no such allocator",
    )
    out_of_memory: OutOfMemory | None = Field(
        None, description="where memory runs out, with the context at its upper bound"
    )
    device_bytes: int | None = Field(
        None, description="reserved_bytes and the upper bound of context_bytes"
    )
    context_bytes: ByteRange | None = Field(
        None, description="of the device: measured by a worker, or published by others"
    )
    parameter_count: int
    trainable_parameter_count: int
    step_flops: int
    step_seconds: float | None = None
    step_seconds_basis: Literal["roofline", "calibrated"] | None = Field(
        None, description="calibrated: the roofline's seconds times what measured runs took of it"
    )
    step_seconds_runs: int = Field(0, description="measured runs that the calibration rests on")
    roofline_seconds: float | None = Field(
        None, description="by the device profile's peaks alone; plans compare these"
    )
    op_count: int
    tiers: list[TierUse] | None = Field(
        None, description="what each memory holds, where the device's profile tells several apart"
    )
    load_peak_bytes: int | None = Field(
        None,
        description="most live bytes while the model is built, where the strategy compresses it: "
        "it is there in full precision before",
    )
    limitations: list[str] = Field([], description="what this number does not cover, in words")
