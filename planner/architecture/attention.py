"""How a block may mix its tokens, as data: each kind with the fields that its paper names.

Letters in descriptions: S tokens, d numbers a head.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from planner.architecture.state_space import Mamba
from planner.data import Data

Size = Annotated[int, Field(ge=1, le=2**20)]


class LinearProjection(Data):
    """Queries, keys, values and the output are linear maps."""

    kind: Literal["linear"] = "linear"
    bias: bool = True
    rank: Size | None = Field(
        None, description="each map W is a product U V through this many dimensions; full when null"
    )


class MemoryProjection(Data):
    """Queries, keys and values are read from tables by hashed codes, and there is no output
    projection (MemoryFormer, arXiv 2411.12992).
    """

    kind: Literal["memory"]
    bits: int = Field(8, ge=1, le=16, description="tau: bits of a code; hidden_size / tau tables")
    temperature: float = Field(1.0, gt=0, le=1e3, description="t of a code's probability")
    score: Literal["paper", "released"] = Field(
        "paper", description="of a code; released: as the authors' code has it, with biases"
    )
    lookup: Literal["embedding_bag", "gather"] = Field(
        "embedding_bag", description="fused, or every row read on its own: the same numbers"
    )


Projection = Annotated[LinearProjection | MemoryProjection, Field(discriminator="kind")]


class MultiHead(Data):
    """What every attention with heads has."""

    summary: ClassVar[str]
    paper: ClassVar[str]
    causal_too: ClassVar[bool] = True  # whether decoders can have it

    num_heads: int = Field(8, ge=1, le=1_024)
    head_dim: Size | None = Field(None, description="default hidden_size / num_heads")
    projection: Projection = Field(default_factory=LinearProjection)


class GroupedQuery(MultiHead):
    """Attention whose heads may share keys and values (arXiv 2305.13245)."""

    num_key_value_heads: int | None = Field(
        None, ge=1, le=1_024, description="heads of keys and values; default num_heads"
    )


class Dense(GroupedQuery):
    """Every token attends to every other."""

    summary = "softmax attention over all tokens; scores of S x S unless the kernel is fused"
    paper = "arXiv 1706.03762"

    kind: Literal["dense"]
    implementation: Literal["sdpa", "eager"] = Field(
        "sdpa", description="torch's scaled_dot_product_attention, or matmul, softmax, matmul"
    )
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="of the probabilities")


class SlidingWindow(GroupedQuery):
    """Every token attends to its neighbours."""

    summary = "softmax attention to the nearest tokens, block by block; scores of S x 2w or S x 3w"
    paper = "arXiv 2004.05150 (Longformer)"

    kind: Literal["sliding_window"]
    window: Size = Field(
        128,
        description="w: in decoders the token itself and the w - 1 before, in encoders w - 1 to"
        " either side; a divisor of S",
    )


class Sparse(MultiHead):
    """Attention in two steps over about sqrt(S) tokens each."""

    summary = "factorised attention: neighbours, and every stride-th token or summary tokens"
    paper = "arXiv 1904.10509 (Sparse Transformer)"

    kind: Literal["sparse"]
    pattern: Literal["strided", "fixed"] = "strided"
    stride: Size = Field(128, description="l, a divisor of S; the paper chooses about sqrt(S)")
    summary_tokens: int = Field(
        8, ge=1, le=1_024, description="c of the fixed pattern: last tokens of each l that all see"
    )
    factors: Literal["heads", "first", "second"] = Field(
        "heads",
        description="heads: the first half of the heads has the first pattern, the others the"
        " second; first, second: one of them (alternate them by a list of attentions)",
    )


class BlockSparse(MultiHead):
    """Blocks of tokens attend to a few blocks."""

    summary = "softmax attention between blocks: neighbours, global ones and random ones"
    paper = "arXiv 2007.14062 (BigBird)"

    kind: Literal["block_sparse"]
    block_size: Size = Field(64, description="b, a divisor of S")
    window_blocks: int = Field(3, ge=1, le=99, description="neighbours, itself among them; odd")
    global_blocks: int = Field(
        2, ge=0, le=99, description="first blocks, which see all and which all see"
    )
    random_blocks: int = Field(3, ge=0, le=99)


class Linformer(MultiHead):
    """Keys and values are projected to a fixed number of positions."""

    summary = "softmax attention over k projections of the sequence; scores of S x k"
    paper = "arXiv 2006.04768"
    causal_too = False

    kind: Literal["linformer"]
    k: Size = Field(256, description="projected length")
    sharing: Literal["none", "headwise", "key-value", "layerwise"] = Field(
        "headwise",
        description="none: E and F for each head; headwise: one E and one F a layer; key-value:"
        " E = F; layerwise: one E for all layers of the entry",
    )


class Performer(MultiHead):
    """Softmax attention estimated by random features (FAVOR+)."""

    summary = "positive orthogonal random features; nothing of S x S"
    paper = "arXiv 2009.14794"

    kind: Literal["performer"]
    num_features: Size | None = Field(None, description="m; default d ln d")
    features: Literal["softmax", "relu"] = "softmax"
    redraw_interval: int | None = Field(
        1_000, ge=1, le=10**9, description="training steps after which features are drawn anew"
    )
    chunk_size: Size = Field(64, description="of the causal prefix sums, a divisor of S")


class LinearAttention(MultiHead):
    """Attention by a feature map that needs no scores."""

    summary = "elu + 1 as feature map; nothing of S x S"
    paper = "arXiv 2006.16236"

    kind: Literal["linear"]
    chunk_size: Size = Field(64, description="of the causal prefix sums, a divisor of S")


class Nystrom(MultiHead):
    """Softmax attention approximated through landmarks."""

    summary = "three softmaxes through m landmarks and an iterated pseudo-inverse; S x m"
    paper = "arXiv 2102.03902 (Nystromformer)"
    causal_too = False

    kind: Literal["nystrom"]
    num_landmarks: Size = Field(64, description="m, a divisor of S: means of segments")
    iterations: int = Field(6, ge=1, le=50, description="of the pseudo-inverse")
    conv_kernel_size: int | None = Field(
        None, ge=1, le=1_023, description="of a depthwise convolution of values added; odd"
    )


class LSH(MultiHead):
    """Attention within hash buckets of similar queries."""

    summary = "locality-sensitive hashing, sorting and chunks; scores of S x 2c for each hash"
    paper = "arXiv 2001.04451 (Reformer)"

    kind: Literal["lsh"]
    num_hashes: int = Field(1, ge=1, le=64, description="rounds of hashing")
    num_buckets: int = Field(32, ge=2, le=2**16, description="even")
    chunk_size: Size = Field(64, description="c, a divisor of S; a chunk sees the one before too")


class ImageWindow(MultiHead):
    """Patches attend to those in the same square window of the image."""

    summary = "softmax attention in M x M windows of patches, with biases by distance; S x M M"
    paper = "arXiv 2103.14030 (Swin)"
    causal_too = False

    kind: Literal["image_window"]
    window: Size = Field(7, description="M: patches a side, a divisor of the rows and columns")
    shift: int = Field(
        0,
        ge=0,
        le=2**20,
        description="patches by which windows are shifted; Swin alternates 0 and floor(M / 2)",
    )


class SelfAttentionHead(Data):
    """A head of softmax attention: scaled dot products, or weighted ones, q W k."""

    op: Literal["sdp", "wma"]


class TransformHead(Data):
    """A head that is a 2-D transform of its values over tokens and width, without scores."""

    op: Literal["dft", "dct"]


class ConvolutionHead(Data):
    """A head that convolves along the tokens by kernels made of its keys and queries (ConvBERT's
    span-based dynamic convolution, arXiv 2008.02496).
    """

    op: Literal["conv"]
    kernel_size: int = Field(9, ge=1, le=1_023, description="odd")


Head = Annotated[SelfAttentionHead | TransformHead | ConvolutionHead, Field(discriminator="op")]


class Heads(Data):
    """Each head has its own operation."""

    summary: ClassVar[str] = (
        "one operation a head: softmax attention (sdp, wma), transform (dft, dct), convolution"
    )
    paper: ClassVar[str] = "arXiv 2205.11656 (FlexiBERT)"
    causal_too: ClassVar[bool] = False

    kind: Literal["heads"]
    heads: list[Head] = Field(min_length=1, max_length=1_024)
    head_dim: Size | None = Field(None, description="default hidden_size / number of heads")
    implementation: Literal["sdpa", "eager"] = Field("sdpa", description="of softmax attention")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="of its probabilities")
    bias: bool = True


class Fourier(Data):
    """Tokens are mixed by a Fourier transform, without parameters."""

    summary: ClassVar[str] = "real part of a 2-D Fourier transform over tokens and width"
    paper: ClassVar[str] = "arXiv 2105.03824 (FNet)"
    causal_too: ClassVar[bool] = False

    kind: Literal["fourier"]


class NoAttention(Data):
    """Tokens are not mixed."""

    summary: ClassVar[str] = "no mixing of tokens: the block is its feed-forward"
    paper: ClassVar[str] = ""
    causal_too: ClassVar[bool] = True

    kind: Literal["none"]


Attention = Annotated[
    Dense | SlidingWindow | Sparse | BlockSparse | Linformer | Performer | LinearAttention
    | Nystrom | LSH | ImageWindow | Heads | Mamba | Fourier | NoAttention,
    Field(discriminator="kind"),
]  # fmt: skip
