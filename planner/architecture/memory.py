"""A memory that carries over from one segment of a sequence to the next, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from planner.data import Data


class Memory(Data):
    """Slots that every segment reads and writes (Memformer, arXiv 2010.06891).

    Blocks with `cross_attention` read them; after the last block they are written.
    """

    slots: int = Field(32, ge=1, le=2**16, description="M: vectors of hidden_size")
    segments: int = Field(
        4,
        ge=1,
        le=4_096,
        description="T: equal parts of the sequence, read one after the other; gradients pass"
        " through all of them",
    )
    num_heads: int = Field(8, ge=1, le=1_024, description="of the attention that writes")
    temperature: float = Field(
        1.0, gt=0, le=1e3, description="scores of the attention that writes are divided by it"
    )
    backward: Literal["bptt", "mrbp"] = Field(
        "bptt",
        description="bptt: all segments' tensors are saved; mrbp: memories alone, and backward runs"
        " each segment again (memory replay back-propagation)",
    )
