"""From the description of a bottleneck to its block."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from planner.architecture import ArchitectureModel
from planner.architecture import attention as described
from planner.architecture.bottleneck import Bottleneck
from planner.architecture.description import Blocks
from planner.architecture.schedule import Layout
from planner.models.architecture.blocks import PostNorm
from planner.models.architecture.bottleneck import BottleneckBlock, SharedKeyQuery
from planner.models.architecture.heads import LinearQKV
from planner.models.architecture.parts import Shared, build_attention, build_feed_forward

_Norm = Callable[[int], nn.Module]


def bottleneck_block(
    model: ArchitectureModel, group: Blocks, norm: _Norm, index: int, layout: Layout, shared: Shared
) -> nn.Module:
    """One block of an entry that has a bottleneck.

    Args:
        norm: makes the norm of a width.
        layout: what the block sees.
        index, shared: as of `build_attention`.
    """
    assert group.bottleneck is not None, "asked of entries with one only"
    hidden, inside = model.hidden_size, model.inside(group)
    size = inside.hidden_size
    attention_spec = group.attention_of(index)
    make_qkv = _maker(group.bottleneck, hidden, attention_spec, norm)
    attention = build_attention(
        inside, attention_spec, index, layout.count, shared, layout.grid, make_qkv
    )
    assert attention is not None, "the rules ask for both parts"
    feed_forwards = []
    for _ in range(group.bottleneck.num_feed_forwards):
        feed_forward = build_feed_forward(inside, group.feed_forward_of(index))
        assert feed_forward is not None, "the rules ask for both parts"
        feed_forwards.append(PostNorm(norm(size), feed_forward, 0.0))
    return BottleneckBlock(
        _narrowed(hidden, size, norm),
        attention,
        norm(size),
        feed_forwards,
        nn.Linear(size, hidden),
        norm(hidden),
        group.dropout,
        attends_within=make_qkv is None,
    )


def _narrowed(hidden: int, size: int, norm: _Norm) -> nn.Module:
    return nn.Sequential(nn.Linear(hidden, size), norm(size))


def _maker(
    bottleneck: Bottleneck, hidden: int, spec: described.Attention, norm: _Norm
) -> Callable[[int, int], nn.Module] | None:
    """What makes queries, keys and values of the stream; None: they come from the bottleneck."""
    size = bottleneck.size
    if bottleneck.attention_input == "bottleneck":
        return None
    assert isinstance(spec, described.MultiHead), "the rules ask for heads"
    assert isinstance(spec.projection, described.LinearProjection), "the rules ask for linear maps"
    bias, rank = spec.projection.bias, spec.projection.rank
    if bottleneck.attention_input == "stream":
        return lambda query, value: LinearQKV(
            hidden, query, value, bias=bias, rank=rank, shared=False
        )
    return lambda query, value: SharedKeyQuery(
        _narrowed(hidden, size, norm), size, hidden, query, value, bias=bias, rank=rank
    )
