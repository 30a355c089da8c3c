"""Blocks that work in a narrower width than their stream, as data."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from planner.architecture.attention import Size
from planner.data import Data


class Bottleneck(Data):
    """A block between a map to a narrower width and one back.

    Attention and feed-forwards of the entry have the inner width; norms are `post`.
    """

    summary: ClassVar[str] = "narrow attention and stacked feed-forwards around a wide stream"
    paper: ClassVar[str] = "arXiv 2004.02984 (MobileBERT)"

    size: Size = Field(128, description="width inside")
    attention_input: Literal["shared_key_query", "bottleneck", "stream"] = Field(
        "shared_key_query",
        description="shared_key_query: queries and keys are of a narrow map of their own, values of"
        " the stream; bottleneck: all are of the block's narrow map; stream: all are of the stream",
    )
    num_feed_forwards: int = Field(4, ge=1, le=64, description="one after the other in a block")
