"""What a block may do with each token, as data: each kind with the fields that its paper names."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from planner.architecture.attention import Size
from planner.data import Data

Activation = Literal["gelu", "gelu_tanh", "relu", "silu", "tanh"]


class DenseFeedForward(Data):
    """Two linear maps with an activation between."""

    summary: ClassVar[str] = "act(x W1) W2; low-rank with `rank`, in parts with `chunks`"
    paper: ClassVar[str] = "arXiv 1706.03762"

    kind: Literal["dense"]
    intermediate_size: Size | Annotated[list[Size], Field(min_length=1, max_length=64)] | None = (
        Field(
            None,
            description="default 4 hidden_size; a list: several layers, one after the other, all"
            " with the activation (FlexiBERT, arXiv 2205.11656)",
        )
    )
    activation: Activation = "gelu"
    bias: bool = True
    rank: Size | None = Field(
        None, description="each map W is a product U V through this many dimensions; full when null"
    )
    chunks: int = Field(
        1,
        ge=1,
        le=4_096,
        description="parts of the sequence computed one after the other and again in backward"
        " (Reformer); 1: whole",
    )


class GatedFeedForward(Data):
    """A linear map, gated by another."""

    summary: ClassVar[str] = "(act(x W1) * x W3) W2; low-rank with `rank`, in parts with `chunks`"
    paper: ClassVar[str] = "arXiv 2002.05202 (GLU variants)"

    kind: Literal["gated"]
    intermediate_size: Size | None = Field(
        None, description="default 8/3 hidden_size, so that parameters are those of a dense one"
    )
    activation: Activation = "silu"
    bias: bool = False
    rank: Size | None = Field(None, description="as of dense")
    chunks: int = Field(1, ge=1, le=4_096, description="as of dense")


class MemoryFeedForward(Data):
    """Two layers of table look-ups instead of matrices."""

    summary: ClassVar[str] = "two memory layers: rows of tables chosen by the signs of the input"
    paper: ClassVar[str] = "arXiv 2411.12992 (MemoryFormer)"

    kind: Literal["memory"]
    bits: int = Field(8, ge=1, le=16, description="tau: bits of a code; hidden_size / tau tables")
    expansion_bits: int = Field(
        2, ge=0, le=8, description="further bits of the second layer's codes"
    )
    temperature: float = Field(1.0, gt=0, le=1e3, description="t of a code's probability")
    score: Literal["paper", "released"] = Field("paper", description="as of the projection")
    lookup: Literal["embedding_bag", "gather"] = Field(
        "embedding_bag", description="fused, or every row read on its own: the same numbers"
    )


class FarFeedForward(Data):
    """A dense feed-forward, of whose nodes only some learn."""

    summary: ClassVar[str] = (
        "dense, both maps split into nodes that learn and frozen ones: gradients and optimizer"
        " state of learners only; what is saved for backward stays as of dense"
    )
    paper: ClassVar[str] = "arXiv 2205.01541 (FAR)"

    kind: Literal["far"]
    intermediate_size: Size | None = Field(None, description="default 4 hidden_size")
    activation: Activation = "gelu"
    bias: bool = True
    retention: float = Field(0.4, gt=0, lt=1, description="share of the nodes that learn")
    stage: Literal["reconfigured", "priming"] = Field(
        "reconfigured",
        description="priming: the first steps, in which all learns beside a copy of the weights",
    )


class ExpertsFeedForward(Data):
    """A router sends each token to a few of many feed-forwards."""

    summary: ClassVar[str] = "mixture of experts of a fixed capacity, tokens beyond it left out"
    paper: ClassVar[str] = "arXiv 2101.03961 (Switch), 2006.16668 (GShard)"

    kind: Literal["experts"]
    num_experts: int = Field(8, ge=2, le=4_096)
    top_k: int = Field(1, ge=1, le=64, description="experts of a token")
    capacity_factor: float = Field(
        1.25, gt=0, le=64, description="room of an expert over an equal share of the tokens"
    )
    intermediate_size: Size | None = Field(None, description="default 4 hidden_size")
    activation: Activation = "relu"
    aux_loss: float = Field(
        0.01, ge=0, le=1e3, description="alpha of the loss that balances the experts' load"
    )


class NoFeedForward(Data):
    """The block only mixes tokens."""

    summary: ClassVar[str] = "nothing: the block is its attention"
    paper: ClassVar[str] = ""

    kind: Literal["none"]


FeedForward = Annotated[
    DenseFeedForward | GatedFeedForward | MemoryFeedForward | FarFeedForward | ExpertsFeedForward
    | NoFeedForward,
    Field(discriminator="kind"),
]  # fmt: skip
