"""From an architecture description to its network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from planner.architecture import ArchitectureModel
from planner.architecture import description as described
from planner.architecture.schedule import Layout, Stage, of_width, stages
from planner.architecture.tokens import MergeTokens, PatchMerge, PoolTokens, PruneTokens
from planner.models.architecture import embeddings, positions
from planner.models.architecture.blocks import PostNorm, PostNormBlock, PreNorm, PreNormBlock
from planner.models.architecture.network import Blocks, MergingBlocks, Network
from planner.models.architecture.parts import Shared, build_attention, build_feed_forward
from planner.models.architecture.reducing import reducing_block
from planner.models.architecture.reversible import ReversibleBlock, ReversibleSequence
from planner.models.architecture.token_pooling import (
    PatchMerging,
    QueryPoolingBlock,
    TokenPooling,
)

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "layer_norm": nn.LayerNorm,
    "rms_norm": nn.RMSNorm,
    "none": lambda hidden: nn.Identity(),
}


def build_network(model: ArchitectureModel, tokens: int) -> Network:
    """The network for sequences of so many tokens, its parameters of the default dtype on the
    default device.
    """
    embedding = _embedding(model)
    entries = list(zip(model.blocks, stages(model, tokens), strict=True))
    groups = [_group(of_width(model, s.width), group, s) for group, s in entries]
    transitions: dict[str, nn.Module] = {
        str(index): nn.Sequential(*modules)
        for index, (group, stage) in enumerate(entries)
        if (modules := _transition(group, stage))
    }
    last, width = model.blocks[-1], entries[-1][1].width
    ends_normed = last.norm_position == "post" and last.residual == "plain"
    norm = nn.Identity() if ends_normed else _NORMS[last.norm](width)
    head = _head(of_width(model, width), embedding)
    return Network(embedding, groups, norm, head, model.task, model.pooling, transitions)


def _embedding(model: ArchitectureModel) -> nn.Module:
    spec = model.embedding
    if isinstance(spec, described.PatchEmbedding):
        return embeddings.PatchEmbedding(
            spec.image_size,
            spec.patch_size,
            spec.num_channels,
            model.hidden_size,
            model.has_class_token,
            spec.dropout,
            spec.positions == "learned",
        )
    size = spec.embedding_size or model.hidden_size
    return embeddings.TokenEmbedding(
        spec.vocab_size, size, model.hidden_size, _positions(spec, size), spec.dropout
    )


def _positions(spec: described.TokenEmbedding, size: int) -> nn.Module | None:
    if spec.positions == "learned":
        return positions.LearnedPositions(spec.max_positions, size)
    if spec.positions == "sinusoidal":
        return positions.SinusoidalPositions(spec.max_positions, size)
    if spec.positions == "axial":
        assert spec.axial_shape is not None, "the rules ask for it"
        assert spec.axial_dims is not None, "the rules ask for them"
        return positions.AxialPositions(spec.axial_shape, spec.axial_dims)
    return None


def _head(model: ArchitectureModel, embedding: nn.Module) -> nn.Module | None:
    if model.task == "feature-extraction":
        return None
    if model.task not in ("text-generation", "fill-mask"):
        return nn.Linear(model.hidden_size, model.num_labels)
    assert isinstance(embedding, embeddings.TokenEmbedding), "the rules ask for tokens"
    words = embedding.word_embeddings
    size, width = words.weight.shape
    head = nn.Linear(width, size, bias=False)
    if model.tie_word_embeddings:
        head.weight = words.weight
    if width == model.hidden_size:
        return head
    # As ALBERT does: back to the embedding's width first.
    return nn.Sequential(nn.Linear(model.hidden_size, width), head)


def _transition(group: described.Blocks, stage: Stage) -> list[nn.Module]:
    """What comes before an entry's blocks."""
    before, width = stage.before, stage.width
    if isinstance(group.tokens, PatchMerge):
        assert before.grid is not None, "the rules ask for patches"
        return [PatchMerging(stage.width_before, width, before.grid)]
    modules: list[nn.Module] = []
    if isinstance(group.tokens, PoolTokens) and not group.tokens.queries_only:
        modules.append(_pooling(group.tokens, before))
    if width != stage.width_before:
        modules.append(nn.Linear(stage.width_before, width))
    return modules


def _pooling(spec: PoolTokens, before: Layout) -> TokenPooling:
    return TokenPooling(spec.stride, spec.mode, before.has_first, before.grid)


def _group(model: ArchitectureModel, group: described.Blocks, stage: Stage) -> nn.Module:
    """The blocks of one entry; shared ones are one module in several places.

    Args:
        model: with the entry's hidden_size.
        stage: what its blocks see.
    """
    shared, layouts = Shared(), stage.blocks
    count = 1 if group.share == "all" else group.repeat
    attentions = _parts(
        count,
        group.share == "attention",
        lambda i: build_attention(
            model, group.attention_of(i), i, layouts[i].count, shared, layouts[i].grid
        ),
    )
    feed_forwards = _parts(
        count,
        group.share == "feed_forward",
        lambda i: build_feed_forward(model, group.feed_forward_of(i)),
    )
    pairs = list(zip(attentions, feed_forwards, strict=True))
    if group.residual == "reversible":
        reversible = [
            ReversibleBlock(_pre(model, group, attention), _pre(model, group, feed_forward))
            for attention, feed_forward in pairs
        ]
        return ReversibleSequence(reversible * (group.repeat // count))
    times = group.repeat // count
    if isinstance(group.tokens, MergeTokens | PruneTokens):
        reducing = [
            reducing_block(group.tokens, _block(model, group, *pair), layout)
            for pair, layout in zip(pairs, layouts, strict=False)
        ]
        merges = isinstance(group.tokens, MergeTokens)
        return (MergingBlocks if merges else Blocks)(reducing * times)
    plain = [_block(model, group, *pair) for pair in pairs]
    blocks: list[nn.Module] = [*plain * times]
    if isinstance(group.tokens, PoolTokens) and group.tokens.queries_only:
        attention, feed_forward = plain[0].attention, plain[0].feed_forward
        assert attention is not None, "the rules ask for dense attention"
        blocks[0] = QueryPoolingBlock(_pooling(group.tokens, stage.before), attention, feed_forward)
    return Blocks(blocks)


def _parts(
    count: int, shared: bool, make: Callable[[int], nn.Module | None]
) -> list[nn.Module | None]:
    return [make(0)] * count if shared else [make(i) for i in range(count)]


def _block(
    model: ArchitectureModel,
    group: described.Blocks,
    attention: nn.Module | None,
    feed_forward: nn.Module | None,
) -> PreNormBlock | PostNormBlock:
    if group.norm_position == "pre":
        return PreNormBlock(
            None if attention is None else _pre(model, group, attention),
            None if feed_forward is None else _pre(model, group, feed_forward),
        )
    return PostNormBlock(
        None if attention is None else _post(model, group, attention),
        None if feed_forward is None else _post(model, group, feed_forward),
    )


def _post(model: ArchitectureModel, group: described.Blocks, function: nn.Module) -> PostNorm:
    return PostNorm(_norm(model, group), function, group.dropout)


def _pre(model: ArchitectureModel, group: described.Blocks, function: nn.Module | None) -> PreNorm:
    assert function is not None, "the rules ask reversible blocks for both"
    return PreNorm(_norm(model, group), function, group.dropout)


def _norm(model: ArchitectureModel, group: described.Blocks) -> nn.Module:
    return _NORMS[group.norm](model.hidden_size)
