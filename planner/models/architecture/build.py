"""From an architecture description to its network."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from planner.architecture import ArchitectureModel
from planner.architecture import description as described
from planner.architecture.schedule import Layout, Stage, of_width, stages
from planner.architecture.tokens import MergeTokens, PatchMerge, PoolTokens, PruneTokens
from planner.models.architecture import embeddings, positions
from planner.models.architecture.adapter import Adapter, per_task
from planner.models.architecture.blocks import PostNorm, PostNormBlock, PreNorm, PreNormBlock
from planner.models.architecture.bottleneck import NoNorm
from planner.models.architecture.cross_attention import (
    PostNormCrossBlock,
    PreNormCrossBlock,
    build_cross_attention,
)
from planner.models.architecture.encoder_decoder import EncoderDecoder
from planner.models.architecture.narrow import bottleneck_block
from planner.models.architecture.network import (
    TOKEN_TASKS,
    Blocks,
    ContextBlocks,
    MergingBlocks,
    Network,
)
from planner.models.architecture.parts import Shared, build_attention, build_feed_forward
from planner.models.architecture.reducing import reducing_block
from planner.models.architecture.reversible import ReversibleBlock, ReversibleSequence
from planner.models.architecture.segments import Segment, SegmentedNetwork
from planner.models.architecture.slots import MemorySlots
from planner.models.architecture.token_pooling import (
    PatchMerging,
    QueryPoolingBlock,
    TokenPooling,
)

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "layer_norm": nn.LayerNorm,
    "rms_norm": nn.RMSNorm,
    "no_norm": NoNorm,
    "none": lambda hidden: nn.Identity(),
}

_FORMS: dict[tuple[str, str], tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    ("plain", "pre"): (PreNormBlock, PreNorm),
    ("plain", "post"): (PostNormBlock, PostNorm),
    ("reversible", "pre"): (ReversibleBlock, PreNorm),
}
"""A block and each of its two parts, by `residual` and `norm_position`."""

_CROSS_BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "pre": PreNormCrossBlock,
    "post": PostNormCrossBlock,
}


def build_network(
    model: ArchitectureModel, tokens: int, targets: int | None = None
) -> Network | SegmentedNetwork:
    """The network for sequences (with a memory: segments) of so many tokens, its parameters of the
    default dtype on the default device.

    Args:
        targets: tokens of a decoder's sequences, where they are not as many.
    """
    network, memory = _network(model, tokens, targets or tokens), model.memory
    if memory is None:
        return network
    slots = MemorySlots(model.hidden_size, memory.slots, memory.num_heads, memory.temperature)
    segment = Segment(network, slots)
    return SegmentedNetwork(segment, memory.segments, replays=memory.backward == "mrbp")


def _network(model: ArchitectureModel, tokens: int, targets: int) -> Network:
    embedding = _embedding(model)
    groups, norm, transitions, width = _stack(model, tokens)
    head = _head(of_width(model, width), embedding)
    if not model.decoder:
        return Network(embedding, groups, norm, head, model.task, model.pooling, transitions)
    assert isinstance(embedding, embeddings.TokenEmbedding), "the rules ask for tokens"
    targets_embedding = _embedding(model, embedding.word_embeddings.weight)
    decoder_groups, decoder_norm, *_ = _stack(model.decoder_alone, targets)
    decoder = Network(
        targets_embedding, decoder_groups, decoder_norm, None, "feature-extraction", model.pooling
    )
    return EncoderDecoder(embedding, groups, norm, decoder, head)


def _stack(
    model: ArchitectureModel, tokens: int
) -> tuple[list[nn.Module], nn.Module, dict[str, nn.Module], int]:
    """The blocks, the norm at their end, what stands between entries, and the last width."""
    entries = list(zip(model.blocks, stages(model, tokens), strict=True))
    groups = [_group(of_width(model, s.width), group, s) for group, s in entries]
    transitions: dict[str, nn.Module] = {
        str(index): nn.Sequential(*modules)
        for index, (group, stage) in enumerate(entries)
        if (modules := _transition(group, stage))
    }
    last, width = model.blocks[-1], entries[-1][1].width
    ends_normed = last.norm_position == "post" and last.residual == "plain"
    norm = nn.Identity() if ends_normed else _norm(of_width(model, width), last)
    return groups, norm, transitions, width


def _embedding(model: ArchitectureModel, table: Tensor | None = None) -> nn.Module:
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
    if spec.trigram:
        positions_of_stream = _positions(spec, model.hidden_size)
        return embeddings.TrigramEmbedding(
            spec.vocab_size, size, model.hidden_size, positions_of_stream, spec.dropout
        )
    words = nn.Embedding(spec.vocab_size, size, _weight=table)
    if table is None:
        nn.init.normal_(words.weight, std=0.02)
    else:
        words.weight = table
    return embeddings.TokenEmbedding(words, model.hidden_size, _positions(spec, size), spec.dropout)


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
    if model.task not in TOKEN_TASKS:
        return per_task(model.num_tasks, lambda: nn.Linear(model.hidden_size, model.num_labels))
    of_tokens = (embeddings.TokenEmbedding, embeddings.TrigramEmbedding)
    assert isinstance(embedding, of_tokens), "the rules ask for tokens"
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
    """The blocks of one entry; shared ones are one module in several places, but for adapters,
    which are each block's own.

    Args:
        model: with the entry's hidden_size.
        stage: what its blocks see.
    """
    shared, layouts = Shared(), stage.blocks
    count = 1 if group.share == "all" else group.repeat
    if group.bottleneck is not None:
        norm = _NORMS[group.norm]
        narrow = [bottleneck_block(model, group, norm, i, layouts[i], shared) for i in range(count)]
        return Blocks(narrow * (group.repeat // count))
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
    made = [
        (_normed(model, group, attention), _normed(model, group, feed_forward))
        for attention, feed_forward in zip(attentions, feed_forwards, strict=True)
    ]
    places = made * (group.repeat // count) if group.adapter is not None else made
    blocks = [_block(model, group, *parts) for parts in places]
    if isinstance(group.tokens, MergeTokens | PruneTokens):
        # Blocks that are shared see the layout of the first.
        blocks = [
            reducing_block(group.tokens, *each) for each in zip(blocks, layouts, strict=False)
        ]
    blocks *= group.repeat // len(blocks)
    if isinstance(group.tokens, PoolTokens) and group.tokens.queries_only:
        first = blocks[0]
        assert isinstance(first, PreNormBlock | PostNormBlock), "the rules refuse reversible ones"
        assert first.attention is not None, "the rules ask for dense attention"
        blocks[0] = QueryPoolingBlock(
            _pooling(group.tokens, stage.before), first.attention, first.feed_forward
        )
    if group.residual == "reversible":
        return ReversibleSequence(blocks)
    if group.cross_attention is not None:
        return ContextBlocks(blocks)
    return (MergingBlocks if isinstance(group.tokens, MergeTokens) else Blocks)(blocks)


def _parts(
    count: int, shared: bool, make: Callable[[int], nn.Module | None]
) -> list[nn.Module | None]:
    return [make(0)] * count if shared else [make(i) for i in range(count)]


_Normed = tuple[nn.Module, nn.Module] | None
"""A norm and the attention or feed-forward that it goes with; None where a block has none."""


def _normed(
    model: ArchitectureModel, group: described.Blocks, function: nn.Module | None
) -> _Normed:
    return None if function is None else (_norm(model, group), function)


def _norm(model: ArchitectureModel, group: described.Blocks) -> nn.Module:
    """Each task's own where blocks have adapters."""
    tasks = 1 if group.adapter is None else model.num_tasks
    return per_task(tasks, lambda: _NORMS[group.norm](model.hidden_size))


def _block(
    model: ArchitectureModel, group: described.Blocks, attention: _Normed, feed_forward: _Normed
) -> nn.Module:
    block, part = _FORMS[group.residual, group.norm_position]
    named = (("attention", attention), ("feed_forward", feed_forward))
    first, last = (
        None if normed is None else part(*normed, group.dropout, _adapter(model, group, name))
        for name, normed in named
    )
    if group.cross_attention is None:
        return block(first, last)
    cross = build_cross_attention(model, group.cross_attention)
    of_two = _CROSS_BLOCKS[group.norm_position]
    return of_two(first, part(_norm(model, group), cross, group.dropout), last)


def _adapter(model: ArchitectureModel, group: described.Blocks, part: str) -> nn.Module | None:
    spec = group.adapter
    if spec is None or spec.after not in ("both", part):
        return None
    return per_task(model.num_tasks, lambda: Adapter(model.hidden_size, spec.size, spec.activation))
