"""What generation keeps of past keys and values, as data: each policy with its paper's fields."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.data import Data

Tokens = Annotated[int, Field(ge=1, le=2**24)]


class WindowCache(Data):
    """The first `sinks` and the last `window` tokens; those between are dropped."""

    kind: Literal["window"]
    window: Tokens = Field(description="most recent tokens that stay")
    sinks: int = Field(
        0, ge=0, le=2**16, description="first tokens that stay too (StreamingLLM, arXiv 2309.17453)"
    )


class ThinkCache(Data):
    """Keys of the prompt without the channels that matter least (ThinK, arXiv 2407.21018)."""

    kind: Literal["think"]
    ratio: float = Field(0.4, ge=0, lt=1, description="of the key's channels that are dropped")
    recent: int = Field(
        32, ge=0, le=2**24, description="last tokens of the prompt that keep every channel"
    )
    observation: Tokens = Field(32, description="last queries of the prompt that judge channels")


class QuantizedCache(Data):
    """Keys and values in few bits, but for the most recent ones (KIVI, arXiv 2402.02750)."""

    kind: Literal["quantized"]
    bits: Literal[2, 4, 8] = 4
    group_size: Literal[32, 64] = Field(32, description="numbers that share a scale and a minimum")
    residual: Tokens = Field(128, description="recent tokens that keep full precision")
    keys_per: Literal["channel", "token"] = Field(
        "channel",
        description="channel: a group is consecutive tokens of one channel; token: "
        "consecutive channels of one token",
    )
    values_per: Literal["channel", "token"] = Field("token", description="as of keys_per")

    @model_validator(mode="after")
    def _has_whole_groups(self) -> QuantizedCache:
        per_channel = "channel" in (self.keys_per, self.values_per)
        if per_channel and self.residual % self.group_size:
            raise ValueError(
                f"residual {self.residual} is no multiple of group_size {self.group_size}: tokens "
                "quantised per channel leave the residual in whole groups"
            )
        return self


KvCache = Annotated[WindowCache | ThinkCache | QuantizedCache, Field(discriminator="kind")]
