"""What of a model learns, as data: low-rank adapters, and parameters frozen or not by name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.data import Data

_Patterns = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=300)]], Field(max_length=1_000)
]
Frozen = Annotated[
    _Patterns, Field(description="glob patterns of parameter names that get no gradient")
]
Trained = Annotated[
    _Patterns,
    Field(description="glob patterns of those that learn all the same, frozen or beside `lora`"),
]


class Lora(Data):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) added by `peft`; all else is frozen."""

    r: int = Field(8, ge=1, le=65_536, description="rank of the update")
    alpha: float = Field(
        16, gt=0, le=1e6, description="scaling numerator: updates are scaled by alpha / r"
    )
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[Annotated[str, Field(max_length=200)]] | Literal["all-linear"] | None = (
        Field(
            None,
            description="module names to adapt; the library's choice when absent, `q_proj` and"
            " `v_proj` in architectures",
        )
    )
    bias: Literal["none", "all", "lora_only"] = "none"
