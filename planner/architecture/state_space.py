"""State spaces as a way to mix tokens, as data."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from planner.data import Data


class Mamba(Data):
    """A recurrence whose coefficients depend on the token; a block needs no feed-forward."""

    summary: ClassVar[str] = "selective state space, a recurrence over tokens; linear in S"
    paper: ClassVar[str] = "arXiv 2312.00752 (Mamba), 2401.09417 (Vision Mamba, encoders)"
    causal_too: ClassVar[bool] = True

    kind: Literal["mamba"]
    state_size: int = Field(16, ge=1, le=1_024, description="N: numbers of state a channel")
    conv_kernel: int = Field(4, ge=1, le=64, description="tokens of the causal convolution")
    expand: int = Field(2, ge=1, le=64, description="inner width D over hidden_size")
    dt_rank: int | None = Field(
        None, ge=1, le=2**16, description="numbers that the step is made from; default H / 16"
    )
    scan: Literal["chunked", "naive"] = Field(
        "chunked",
        description="chunked: backward computes states again from those between chunks; naive:"
        " all B S D N of them are kept, several times",
    )
    chunk_size: int = Field(
        64,
        ge=1,
        le=1_024,
        description="C of the chunked scan, which keeps B S D N / C numbers in C steps; where it"
        " does not divide S, tensors are padded",
    )
    bidirectional: bool | None = Field(
        None,
        description="a second scan from the last token, with the same outer maps; default: in"
        " encoders, whose tokens would see nothing after them otherwise",
    )
