"""What is packed and what comes out: lifetimes with sizes, and an offset for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Buffers:
    """Buffers alive from `lower` until before `upper`, in any unit of time; one row each.

    Raises:
        ValueError: a buffer with no size, no lifetime, or another's id.
    """

    ids: tuple[str, ...]
    lower: Ints
    upper: Ints
    size_bytes: Ints

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("two buffers have one id")
        for wrong, what in (
            (self.size_bytes <= 0, "has no bytes"),
            (self.lower >= self.upper, "dies before it is born"),
        ):
            if wrong.any():
                raise ValueError(f"buffer {self.ids[int(np.argmax(wrong))]} {what}")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Ints) -> Buffers:
        """Only these rows, in this order."""
        ids = tuple(self.ids[row] for row in rows.tolist())
        return Buffers(ids, self.lower[rows], self.upper[rows], self.size_bytes[rows])


class Proof(StrEnum):
    """What is proven of a layout."""

    OPTIMAL = "optimal"  # no layout is lower
    INFEASIBLE = "infeasible"  # no layout fits the capacity; this one does not either
    NONE = "none"


@dataclass(frozen=True, eq=False)
class Layout:
    """An offset for each buffer.

    Attributes:
        height_bytes: the size of the arena that the offsets need.
        lower_bound_bytes: no layout needs less; at least the most bytes alive at one time.
        solver: what found the offsets.
        capacity_bytes: what was asked to hold them, if anything was.
    """

    offsets: Ints
    height_bytes: int
    lower_bound_bytes: int
    solver: str
    seconds: float = 0.0
    capacity_bytes: int | None = None

    @property
    def gap(self) -> float:
        """How much higher than the lower bound, relative."""
        return self.height_bytes / self.lower_bound_bytes - 1 if self.lower_bound_bytes else 0.0

    @property
    def fits(self) -> bool:
        """Whether the capacity, if there is one, holds the layout."""
        return self.capacity_bytes is None or self.height_bytes <= self.capacity_bytes

    @property
    def proof(self) -> Proof:
        """What `lower_bound_bytes` proves."""
        if self.capacity_bytes is not None and self.lower_bound_bytes > self.capacity_bytes:
            return Proof.INFEASIBLE
        if self.height_bytes == self.lower_bound_bytes:
            return Proof.OPTIMAL
        return Proof.NONE


def max_live_bytes(buffers: Buffers) -> int:
    """The most bytes alive at one time: a lower bound of every layout. O(n log n)."""
    times = np.concatenate([buffers.lower, buffers.upper])
    changes = np.concatenate([buffers.size_bytes, -buffers.size_bytes])
    # Lifetimes are half-open: what dies at a time makes room for what is born then.
    live = np.cumsum(changes[np.lexsort((changes, times))])
    return int(live.max(initial=0))


def height_bytes(buffers: Buffers, offsets: Ints) -> int:
    """Where the highest buffer ends."""
    return int((offsets + buffers.size_bytes).max(initial=0))
