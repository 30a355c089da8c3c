"""The settings of PyTorch's CUDA caching allocator, as `PYTORCH_ALLOC_CONF` gives them.

Names, grammar, limits and messages are those of torch 2.13: `c10/core/AllocatorConfig.h` (shipped
with torch) and `c10/core/AllocatorConfig.cpp`, `c10/cuda/CUDAAllocatorConfig.cpp`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Self

from pydantic import Field, field_validator, model_validator

from planner.allocator.grammar import ROUNDUP_INTERVALS, parse_settings
from planner.data import Data

MIB = 1 << 20
MIN_BLOCK_BYTES = 512  # kMinBlockSize
SMALL_BYTES = MIB  # kSmallSize: the largest request that the small pool serves
SMALL_SEGMENT_BYTES = 2 * MIB  # kSmallBuffer
MIN_LARGE_SEGMENT_BYTES = 10 * MIB  # kMinLargeAlloc: from here on a request has its own segment
LARGE_ROUNDING_BYTES = 2 * MIB  # kRoundLarge
UNLIMITED_BYTES = 2**64 - 1  # std::numeric_limits<size_t>::max()


class AllocatorSettings(Data):
    """What decides the allocator's choices. Defaults are torch's.

    Settings of pinned host memory and of locking, which never change what the device holds, are
    accepted by `parse` and not kept.
    """

    max_split_size_mb: int | None = Field(
        None, ge=0, description="blocks from this size (MiB) on are not split; none: all are"
    )
    max_non_split_rounding_mb: int | None = Field(
        None,
        ge=0,
        description="how much larger (MiB) than its request an unsplit block may be; "
        "none: `large_segment_size_mb`",
    )
    large_segment_size_mb: int = Field(
        20, description="segment (MiB) for requests of 1 to 10 MiB, and page of an expandable one"
    )
    roundup_power2_divisions: tuple[int, ...] = Field(
        (0,) * ROUNDUP_INTERVALS,
        min_length=ROUNDUP_INTERVALS,
        max_length=ROUNDUP_INTERVALS,
        description="steps between two powers of 2 to which sizes are rounded, for sizes from "
        "below 2 MiB, 2 MiB, 4 MiB, ... to 32 GiB; 0 or 1: multiples of 512 bytes",
    )
    garbage_collection_threshold: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the allowed memory above which old free segments are returned; acts "
        "only where `per_process_memory_fraction` is below 1, as in torch",
    )
    expandable_segments: bool = Field(
        False, description="one growing segment for each pool instead of many fixed ones"
    )
    per_process_memory_fraction: float = Field(
        1.0, description="share of the device's memory that the allocator may reserve"
    )
    throw_on_cudamalloc_oom: bool = Field(
        False, description="out of memory at once where the fraction would be passed, no retry"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Settings from a value of `PYTORCH_ALLOC_CONF`, such as `"max_split_size_mb:128"`.

        Raises:
            ValueError: an unknown key, or a value that torch refuses; in torch's words.
        """
        return cls(**parse_settings(text))

    @field_validator("large_segment_size_mb")
    @classmethod
    def _is_large(cls, value: int) -> int:
        least = MIN_LARGE_SEGMENT_BYTES // MIB
        if value <= least:
            raise ValueError(f"CachingAllocator option large_segment_size_mb must be > {least} MB")
        return value

    @field_validator("per_process_memory_fraction")
    @classmethod
    def _is_a_fraction(cls, value: float) -> float:
        if not 0 <= value <= 1:
            raise ValueError("per_process_memory_fraction is invalid, set it in [0.0, 1.0]")
        return value

    @field_validator("roundup_power2_divisions")
    @classmethod
    def _are_powers_of_two(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(each < 0 or each & (each - 1) for each in value):
            raise ValueError(
                "For roundups, the divisions has to be power of 2 or 0 to disable roundup"
            )
        return value

    @model_validator(mode="after")
    def _splits_no_less_than_a_segment(self) -> Self:
        for name in ("max_split_size_mb", "max_non_split_rounding_mb"):
            value = getattr(self, name)
            if value is not None and value < self.large_segment_size_mb:
                raise ValueError(
                    f"CachingAllocator option {name} too small, "
                    f"must be >= {self.large_segment_size_mb}"
                )
        return self

    @cached_property
    def max_split_bytes(self) -> int:
        """Requests and blocks from this size on are oversize."""
        return UNLIMITED_BYTES if self.max_split_size_mb is None else self.max_split_size_mb * MIB

    @cached_property
    def max_non_split_rounding_bytes(self) -> int:
        """An oversize request takes no block that is larger than itself by this or more."""
        chosen = self.max_non_split_rounding_mb
        return (self.large_segment_size_mb if chosen is None else chosen) * MIB

    @cached_property
    def large_segment_bytes(self) -> int:
        """Segment for requests between 1 and 10 MiB, and page of a large expandable segment."""
        return self.large_segment_size_mb * MIB

    def rounded(self, requested_bytes: int) -> int:
        """Bytes of a block for this request (`round_size`)."""
        if requested_bytes < MIN_BLOCK_BYTES:
            return MIN_BLOCK_BYTES
        interval = requested_bytes.bit_length() - MIB.bit_length()
        divisions = self.roundup_power2_divisions[min(max(interval, 0), ROUNDUP_INTERVALS - 1)]
        step = MIN_BLOCK_BYTES
        if divisions > 1 and requested_bytes > MIN_BLOCK_BYTES * divisions:
            step = (1 << (requested_bytes.bit_length() - 1)) // divisions
        return -(-requested_bytes // step) * step

    def segment_bytes(self, block_bytes: int) -> int:
        """Bytes asked of the device for a block that no cached one can serve
        (`get_allocation_size`).
        """
        if block_bytes <= SMALL_BYTES:
            return SMALL_SEGMENT_BYTES
        if block_bytes < MIN_LARGE_SEGMENT_BYTES:
            return self.large_segment_bytes
        return -(-block_bytes // LARGE_ROUNDING_BYTES) * LARGE_ROUNDING_BYTES
