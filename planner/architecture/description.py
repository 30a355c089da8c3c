"""`source: architecture`: a network of efficient-transformer blocks, as data."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from planner.architecture.adapter import Adapter
from planner.architecture.attention import Attention, Size
from planner.architecture.bottleneck import Bottleneck
from planner.architecture.feed_forward import FeedForward
from planner.architecture.memory import Memory
from planner.architecture.tokens import TokenSchedule
from planner.data import Data
from planner.fine_tuning import Frozen, Lora, Trained

MAX_BLOCKS = 1_000

_Kind = TypeVar("_Kind")

ArchitectureTask = Literal[
    "text-generation",
    "fill-mask",
    "text-classification",
    "token-classification",
    "text2text-generation",
    "image-classification",
    "feature-extraction",
]


class TokenEmbedding(Data):
    """A vector for each token of a vocabulary, and one for its position."""

    kind: Literal["tokens"] = "tokens"
    vocab_size: int = Field(32_000, ge=2, le=2**24)
    embedding_size: Size | None = Field(
        None,
        description="E: vectors of this width, mapped to hidden_size (ALBERT, arXiv 1909.11942);"
        " default hidden_size, without a map",
    )
    trigram: bool = Field(
        False,
        description="each token's vector beside its neighbours', mapped to hidden_size, to which"
        " positions are added (MobileBERT, arXiv 2004.02984)",
    )
    positions: Literal["learned", "sinusoidal", "axial", "rotary", "none"] = Field(
        "learned",
        description="axial: the position's row and column have a vector each (Reformer); rotary:"
        " queries and keys are turned (arXiv 2104.09864)",
    )
    max_positions: int = Field(2_048, ge=1, le=2**24, description="longest sequence")
    axial_shape: tuple[Size, Size] | None = Field(
        None, description="rows and columns; their product is max_positions"
    )
    axial_dims: tuple[Size, Size] | None = Field(
        None, description="widths of the two vectors; their sum is embedding_size"
    )
    dropout: float = Field(0.0, ge=0, lt=1)


class PatchEmbedding(Data):
    """A vector for each square of an image, and one for its position (ViT, arXiv 2010.11929)."""

    kind: Literal["patches"]
    image_size: int = Field(224, ge=1, le=2**14, description="pixels a side")
    patch_size: int = Field(16, ge=1, le=1_024, description="pixels a side, a divisor")
    num_channels: int = Field(3, ge=1, le=64)
    positions: Literal["learned", "none"] = "learned"
    dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def num_patches(self) -> int:
        """The sequence's length, without a class token."""
        return (self.image_size // self.patch_size) ** 2


def _of_tokens(given: Any) -> Any:
    """Without a kind it is the embedding of tokens."""
    return {"kind": "tokens", **given} if isinstance(given, dict) else given


Embedding = Annotated[
    Annotated[TokenEmbedding | PatchEmbedding, Field(discriminator="kind")],
    BeforeValidator(_of_tokens),
]


def _form(given: object) -> str:
    """Says which form is meant, so that errors are about that form only."""
    return "list" if isinstance(given, list) else "one"


_PerBlock = Annotated[list[_Kind], Field(min_length=1, max_length=MAX_BLOCKS)]


class Blocks(Data):
    """Blocks of one make, one after the other."""

    repeat: int = Field(1, ge=1, le=MAX_BLOCKS, description="how many")
    hidden_size: Size | None = Field(
        None,
        description="width of these blocks; a linear map leads to it (FlexiBERT, arXiv 2205.11656);"
        " default: that of the entry before",
    )
    tokens: TokenSchedule | None = Field(
        None, description="which tokens go on; all of them when null"
    )
    attention: Annotated[
        Annotated[Attention, Tag("one")] | Annotated[_PerBlock[Attention], Tag("list")],
        Discriminator(_form),
    ]
    feed_forward: Annotated[
        Annotated[FeedForward, Tag("one")] | Annotated[_PerBlock[FeedForward], Tag("list")],
        Discriminator(_form),
    ]
    cross_attention: Attention | None = Field(
        None,
        description="after `attention`, to another sequence: in a decoder to the encoder's outputs,"
        " elsewhere to the memory",
    )
    residual: Literal["plain", "reversible"] = Field(
        "plain",
        description="reversible: two streams, from whose ends backward computes their beginnings"
        " again, so that nothing is saved (RevNet, arXiv 1707.04585); their mean goes on",
    )
    norm: Literal["layer_norm", "rms_norm", "no_norm", "none"] = Field(
        "layer_norm",
        description="no_norm: a scale and a shift alone (MobileBERT, arXiv 2004.02984)",
    )
    norm_position: Literal["pre", "post"] = Field(
        "pre", description="pre: x + f(norm(x)); post: norm(x + f(x)), as in the first transformer"
    )
    share: Literal["none", "attention", "feed_forward", "all"] = Field(
        "none", description="parameters that all of these blocks have in common (ALBERT)"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="of what is added to the residual")
    adapter: Adapter | None = Field(
        None, description="each block's own, also where all else is shared (arXiv 2303.16100)"
    )
    bottleneck: Bottleneck | None = Field(
        None, description="blocks that work in a narrower width than their stream (MobileBERT)"
    )

    def attention_of(self, index: int) -> Attention:
        """Of the block of this number; a list is taken in turn."""
        given = self.attention
        return given[index % len(given)] if isinstance(given, list) else given

    def feed_forward_of(self, index: int) -> FeedForward:
        """Of the block of this number; a list is taken in turn."""
        given = self.feed_forward
        return given[index % len(given)] if isinstance(given, list) else given


class ArchitectureModel(Data):
    """A network of transformer blocks that no library ships, from its parts.

    Decoders (`text-generation`, and `decoder`) are causal, encoders are not. Every position is a
    token: there is no padding mask.
    """

    source: Literal["architecture"]
    task: ArchitectureTask = "text-generation"
    hidden_size: Size = Field(
        512, description="width of the residual stream, unless an entry of blocks has its own"
    )
    embedding: Embedding = Field(default_factory=TokenEmbedding)
    blocks: list[Blocks] = Field(min_length=1, max_length=MAX_BLOCKS)
    decoder: list[Blocks] = Field(
        [],
        max_length=MAX_BLOCKS,
        description="of text2text-generation: blocks that attend to the outputs of `blocks`, the"
        " encoder; both sides have one table of tokens, and positions of their own",
    )
    memory: Memory | None = Field(
        None, description="slots that `blocks` read and write, segment by segment"
    )
    num_labels: int = Field(2, ge=2, le=2**20, description="classes of classifying tasks")
    num_tasks: int = Field(
        1,
        ge=1,
        le=1_000,
        description="adapters, the norms beside them and the classifier are held once for each"
        " task, of which the first is worked on",
    )
    pooling: Literal["first", "mean"] = Field(
        "first",
        description="what classifies: the first token (for images a class token before the"
        " patches), or the mean of all",
    )
    tie_word_embeddings: bool = Field(
        True, description="the head that predicts tokens has the embedding's weight"
    )
    lora: Lora | None = None
    freeze: Frozen = Field([])
    train: Trained = Field([])

    @property
    def is_causal(self) -> bool:
        """Whether a token sees only those before it."""
        return self.task == "text-generation"

    def inside(self, group: Blocks) -> ArchitectureModel:
        """As the parts of an entry's blocks see it: in the width of its bottleneck."""
        if group.bottleneck is None:
            return self
        return self.model_copy(update={"hidden_size": group.bottleneck.size})

    @property
    def has_class_token(self) -> bool:
        """Whether a learned token stands before an image's patches."""
        classifies = self.task == "image-classification" and self.pooling == "first"
        return self.embedding.kind == "patches" and classifies

    @property
    def decoder_alone(self) -> ArchitectureModel:
        """The decoder as a causal model of its own: what holds for such holds for it."""
        update = {"task": "text-generation", "blocks": self.decoder, "decoder": []}
        return self.model_copy(update={**update, "memory": None})

    def tokens(self, sequence_length: int) -> int:
        """S: how many tokens the blocks see at a time; images bring their own."""
        if isinstance(self.embedding, PatchEmbedding):
            return self.embedding.num_patches + self.has_class_token
        return sequence_length // (1 if self.memory is None else self.memory.segments)

    @property
    def max_tokens(self) -> int:
        """The longest sequence that the network is built for."""
        if isinstance(self.embedding, PatchEmbedding):
            return self.tokens(0)
        return self.embedding.max_positions

    @field_validator("blocks", "decoder")
    @classmethod
    def _is_bounded(cls, blocks: list[Blocks]) -> list[Blocks]:
        count = sum(group.repeat for group in blocks)
        if count > MAX_BLOCKS:
            raise ValueError(f"{count} blocks are over the limit of {MAX_BLOCKS}; repeat less")
        return blocks
