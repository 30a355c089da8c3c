"""Bottleneck adapters, as data."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from planner.architecture.attention import Size
from planner.architecture.feed_forward import Activation
from planner.data import Data


class Adapter(Data):
    """Two narrow linear maps around an activation, added to what a part of a block makes.

    `freeze` and `train` say what learns besides.
    """

    summary: ClassVar[str] = "x + act(x W1) W2 of a narrow width on what a part of a block adds"
    paper: ClassVar[str] = "arXiv 1902.00751"

    size: Size = Field(64, description="m: width inside; 2 H m + H + m parameters each")
    activation: Activation = "gelu"
    after: Literal["both", "attention", "feed_forward"] = Field(
        "both", description="both: two a block; feed_forward: as in arXiv 2005.00247 (Pfeiffer)"
    )
