"""From the description of an attention or a feed-forward to its module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from planner.architecture import ArchitectureModel
from planner.architecture import attention as described
from planner.architecture import feed_forward as described_feed_forward
from planner.architecture.state_space import Mamba
from planner.models.architecture.block_sparse import BlockSparseMixer
from planner.models.architecture.dense import EagerMixer, SdpaMixer
from planner.models.architecture.experts import ExpertsFeedForward
from planner.models.architecture.far import PrimingFeedForward, far_feed_forward
from planner.models.architecture.feed_forward import (
    ChunkedFeedForward,
    DeepFeedForward,
    DenseFeedForward,
    GatedFeedForward,
)
from planner.models.architecture.fourier import FourierMixer
from planner.models.architecture.head_ops import build_heads
from planner.models.architecture.heads import LinearQKV, MemoryQKV, MultiHeadAttention
from planner.models.architecture.linear import LinearMixer
from planner.models.architecture.linformer import LinformerMixer, sequence_projection
from planner.models.architecture.lsh import LSHMixer
from planner.models.architecture.memory import MemoryFeedForward
from planner.models.architecture.nystrom import NystromMixer
from planner.models.architecture.patch_windows import PatchWindows, WindowMixer
from planner.models.architecture.performer import PerformerMixer
from planner.models.architecture.positions import Rotary
from planner.models.architecture.projections import linear
from planner.models.architecture.sliding_window import SlidingWindowMixer
from planner.models.architecture.sparse import sparse_mixer
from planner.models.state_space.mamba import FORWARD, REVERSE, MambaMixer


class Shared:
    """What the blocks of one entry have in common.

    Attributes:
        projection: Linformer's E = F of layerwise sharing, once it is made.
    """

    def __init__(self) -> None:
        self.projection: nn.Parameter | None = None


def build_attention(
    model: ArchitectureModel,
    spec: described.Attention,
    index: int,
    tokens: int,
    shared: Shared,
    grid: tuple[int, int] | None = None,
    make_qkv: Callable[[int, int], nn.Module] | None = None,
) -> nn.Module | None:
    """The module [B, S, H] -> [B, S, H]; None where tokens are not mixed.

    Args:
        index: the block's number; random patterns differ by it.
        tokens: S, for patterns that are made for one length.
        grid: rows and columns of patches, for windows of an image.
        make_qkv: of the widths of queries and of keys and values, what makes them, where that is
        not a linear map of H numbers.
    """
    if isinstance(spec, described.NoAttention):
        return None
    if isinstance(spec, described.Fourier):
        return FourierMixer()
    if isinstance(spec, described.Heads):
        return build_heads(model.hidden_size, spec)
    if isinstance(spec, Mamba):
        return _mamba(model, spec)
    head_dim = spec.head_dim or model.hidden_size // spec.num_heads
    width = spec.num_heads * head_dim
    values = key_value_heads(spec) * head_dim
    projection = spec.projection
    qkv: nn.Module
    out_proj: nn.Module = nn.Identity()
    if isinstance(projection, described.MemoryProjection):
        assert make_qkv is None, "the rules ask for linear maps"
        qkv = MemoryQKV(
            model.hidden_size,
            width,
            values,
            bits=projection.bits,
            temperature=projection.temperature,
            lookup=projection.lookup,
            score=projection.score,
        )
    else:
        bias, rank = projection.bias, projection.rank
        shares_keys = isinstance(spec, described.LSH)
        qkv = (
            LinearQKV(model.hidden_size, width, values, bias=bias, rank=rank, shared=shares_keys)
            if make_qkv is None
            else make_qkv(width, values)
        )
        out_proj = linear(width, model.hidden_size, bias=bias, rank=rank)
    if isinstance(spec, described.ImageWindow):
        assert grid is not None, "the rules ask for patches"
        windows = WindowMixer(spec.num_heads, grid, spec.window, spec.shift)
        attention = MultiHeadAttention(qkv, windows, out_proj, head_dim, None)
        return PatchWindows(attention, grid, spec.window, spec.shift)
    mixer = _mixer(model, spec, head_dim, index, tokens, shared)
    return MultiHeadAttention(qkv, mixer, out_proj, head_dim, _rotary(model, head_dim))


def _mamba(model: ArchitectureModel, spec: Mamba) -> MambaMixer:
    both = not model.is_causal if spec.bidirectional is None else spec.bidirectional
    return MambaMixer(
        model.hidden_size,
        state_size=spec.state_size,
        conv_kernel=spec.conv_kernel,
        expand=spec.expand,
        dt_rank=spec.dt_rank,
        scan=spec.scan,
        chunk_size=spec.chunk_size,
        orders=(FORWARD, REVERSE) if both else (FORWARD,),
    )


def key_value_heads(spec: described.MultiHead) -> int:
    """A_kv."""
    if isinstance(spec, described.GroupedQuery):
        return spec.num_key_value_heads or spec.num_heads
    return spec.num_heads


def _rotary(model: ArchitectureModel, head_dim: int) -> Rotary | None:
    if getattr(model.embedding, "positions", None) != "rotary":
        return None
    return Rotary(model.max_tokens, head_dim)


def _mixer(
    model: ArchitectureModel,
    spec: described.MultiHead,
    head_dim: int,
    index: int,
    tokens: int,
    shared: Shared,
) -> nn.Module:
    causal = model.is_causal
    match spec:
        case described.Dense():
            mixer = SdpaMixer if spec.implementation == "sdpa" else EagerMixer
            return mixer(causal, spec.attention_dropout)
        case described.SlidingWindow():
            return SlidingWindowMixer(spec.window, causal)
        case described.Sparse():
            return sparse_mixer(
                spec.pattern, spec.stride, spec.summary_tokens, spec.factors, causal
            )
        case described.BlockSparse():
            return BlockSparseMixer(
                spec.block_size,
                tokens // spec.block_size,
                spec.window_blocks,
                spec.global_blocks,
                spec.random_blocks,
                causal,
                seed=index,
            )
        case described.Linformer():
            return _linformer(model, spec, shared)
        case described.Performer():
            return PerformerMixer(
                head_dim,
                spec.num_features,
                spec.features,
                spec.redraw_interval,
                spec.chunk_size if causal else None,
            )
        case described.LinearAttention():
            return LinearMixer(spec.chunk_size if causal else None)
        case described.Nystrom():
            return NystromMixer(
                spec.num_heads, spec.num_landmarks, spec.iterations, spec.conv_kernel_size
            )
        case described.LSH():
            return LSHMixer(spec.num_hashes, spec.num_buckets, spec.chunk_size, causal)
    raise AssertionError(f"no mixer for {type(spec).__name__}")


def _linformer(
    model: ArchitectureModel, spec: described.Linformer, shared: Shared
) -> LinformerMixer:
    heads = spec.num_heads if spec.sharing == "none" else 1
    make = partial(sequence_projection, heads, spec.k, model.max_tokens)
    if spec.sharing == "layerwise":
        shared.projection = shared.projection if shared.projection is not None else make()
        return LinformerMixer(shared.projection, shared.projection)
    e = make()
    return LinformerMixer(e, e if spec.sharing == "key-value" else make())


def build_feed_forward(
    model: ArchitectureModel, spec: described_feed_forward.FeedForward
) -> nn.Module | None:
    """The module [B, S, H] -> [B, S, H]; None where there is none."""
    hidden = model.hidden_size
    match spec:
        case described_feed_forward.DenseFeedForward():
            size = spec.intermediate_size or 4 * hidden
            if isinstance(size, list):
                deep = DeepFeedForward(hidden, size, spec.activation, spec.bias, spec.rank)
                return _chunked(deep, spec.chunks)
            return _chunked(
                DenseFeedForward(hidden, size, spec.activation, spec.bias, spec.rank), spec.chunks
            )
        case described_feed_forward.GatedFeedForward():
            size = spec.intermediate_size or 8 * hidden // 3
            return _chunked(
                GatedFeedForward(hidden, size, spec.activation, spec.bias, spec.rank), spec.chunks
            )
        case described_feed_forward.MemoryFeedForward():
            return MemoryFeedForward(
                hidden, spec.bits, spec.expansion_bits, spec.temperature, spec.lookup, spec.score
            )
        case described_feed_forward.FarFeedForward():
            size = spec.intermediate_size or 4 * hidden
            if spec.stage == "priming":
                dense = DenseFeedForward(hidden, size, spec.activation, spec.bias, None)
                return PrimingFeedForward(dense)
            return far_feed_forward(hidden, size, spec.activation, spec.bias, spec.retention)
        case described_feed_forward.ExpertsFeedForward():
            return ExpertsFeedForward(
                hidden,
                spec.intermediate_size or 4 * hidden,
                spec.num_experts,
                spec.top_k,
                spec.capacity_factor,
                spec.activation,
                spec.aux_loss,
            )
    return None


def _chunked(feed_forward: nn.Module, chunks: int) -> nn.Module:
    return feed_forward if chunks == 1 else ChunkedFeedForward(feed_forward, chunks)
