"""Memories of a device that has several, and what is kept in which of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.data import Data
from planner.quantities import Bytes

Rate = Annotated[float, Field(gt=0)]
TierName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
CategoryName = Literal[
    "parameters",
    "gradients",
    "optimizer_state",
    "activations",
    "temporaries",
    "inputs",
    "buffers",
    "workspace",
]
"""The names of `planner.tape.Category`."""


class MemoryTier(Data):
    """One memory of a device; what is not known of it is left out."""

    name: TierName = Field(description="such as `SRAM`, `RRAM`, `DRAM`, `HBM`")
    capacity_bytes: Bytes | None = None
    read_bandwidth_bytes_per_s: Rate | None = None
    write_bandwidth_bytes_per_s: Rate | None = None
    read_joules_per_byte: float | None = Field(None, ge=0)
    write_joules_per_byte: float | None = Field(None, ge=0)


class Placement(Data):
    """Which tensors a tier keeps, and how they are stored there."""

    categories: list[CategoryName] = Field(
        [], max_length=8, description="what the tensors are for; none: anything"
    )
    names: list[Annotated[str, Field(min_length=1, max_length=300)]] = Field(
        [],
        max_length=1_000,
        description="globs of the names of parameters, buffers and inputs, such as `*lora_*`; "
        "none: any tensor, those without a name too",
    )
    tier: TierName
    encoding: Literal["dense", "bitmask"] = Field(
        "dense", description="`bitmask`: elements other than zero, and one bit for every element"
    )
    sparsity: float = Field(
        0.0, ge=0, lt=1, description="share of elements that are zero; saves with `bitmask` only"
    )
    bits: int | None = Field(
        None, ge=1, le=64, description="of a stored floating-point element; none: as torch has it"
    )
    mask_tier: TierName | None = Field(
        None, description="where a bit mask is kept; none: beside the elements"
    )
    copies: int = Field(
        1, ge=1, le=2**20, description="times that they are held, such as adapters of many tasks"
    )

    @model_validator(mode="after")
    def _says_what_it_means(self) -> Placement:
        if self.encoding == "dense" and (self.sparsity or self.mask_tier is not None):
            raise ValueError(
                "sparsity and mask_tier have a meaning with encoding bitmask only; leave them out"
            )
        return self


def unknown_tiers(tiers: Sequence[MemoryTier], placement: Sequence[Placement]) -> list[str]:
    """Names of tiers that a placement uses and the device has not."""
    known = {tier.name for tier in tiers}
    used = [name for rule in placement for name in (rule.tier, rule.mask_tier) if name is not None]
    return [name for name in dict.fromkeys(used) if name not in known]


def check_tiers(tiers: Sequence[MemoryTier], placement: Sequence[Placement]) -> None:
    """Refuse two tiers of one name, and a placement in a tier that is not there.

    Raises:
        ValueError: says what to change.
    """
    names = [tier.name for tier in tiers]
    if len(set(names)) < len(names):
        raise ValueError("two tiers have the same name; give each its own")
    if unknown := unknown_tiers(tiers, placement):
        raise ValueError(f"placement names no tier of the device: {', '.join(unknown)}; add it")
