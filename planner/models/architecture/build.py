"""From an architecture description to its network."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from planner.architecture import ArchitectureModel
from planner.architecture import description as described
from planner.models.architecture import embeddings, positions
from planner.models.architecture.blocks import PostNorm, PostNormBlock, PreNorm, PreNormBlock
from planner.models.architecture.cross_attention import (
    PostNormCrossBlock,
    PreNormCrossBlock,
    build_cross_attention,
)
from planner.models.architecture.encoder_decoder import EncoderDecoder
from planner.models.architecture.network import TOKEN_TASKS, Blocks, ContextBlocks, Network
from planner.models.architecture.parts import Shared, build_attention, build_feed_forward
from planner.models.architecture.reversible import ReversibleBlock, ReversibleSequence
from planner.models.architecture.segments import Segment, SegmentedNetwork
from planner.models.architecture.slots import MemorySlots

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "layer_norm": nn.LayerNorm,
    "rms_norm": nn.RMSNorm,
    "none": lambda hidden: nn.Identity(),
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
    encoder = _stack(model, embedding, tokens)
    if not model.decoder:
        head = _head(model, embedding)
        return Network(*encoder, head, model.task, model.pooling)
    assert isinstance(embedding, embeddings.TokenEmbedding), "the rules ask for tokens"
    targets_embedding = _embedding(model, embedding.word_embeddings.weight)
    decoder = Network(
        *_stack(model.decoder_alone, targets_embedding, targets),
        head=None,
        task="feature-extraction",
        pooling=model.pooling,
    )
    return EncoderDecoder(*encoder, decoder, _head(model, embedding))


def _stack(
    model: ArchitectureModel, embedding: nn.Module, tokens: int
) -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """The embedding, the blocks after it and the norm at their end."""
    groups = [_group(model, group, tokens) for group in model.blocks]
    last = model.blocks[-1]
    ends_normed = last.norm_position == "post" and last.residual == "plain"
    norm = nn.Identity() if ends_normed else _NORMS[last.norm](model.hidden_size)
    return embedding, groups, norm


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
        )
    size = spec.embedding_size or model.hidden_size
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


def _group(model: ArchitectureModel, group: described.Blocks, tokens: int) -> nn.Module:
    """The blocks of one entry; shared ones are one module in several places."""
    shared = Shared()
    count = 1 if group.share == "all" else group.repeat
    attentions = _parts(
        count,
        group.share == "attention",
        lambda i: build_attention(model, group.attention_of(i), i, tokens, shared),
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
    blocks = [_block(model, group, *pair) for pair in pairs]
    make = Blocks if group.cross_attention is None else ContextBlocks
    return make(blocks * (group.repeat // count))


def _parts(
    count: int, shared: bool, make: Callable[[int], nn.Module | None]
) -> list[nn.Module | None]:
    return [make(0)] * count if shared else [make(i) for i in range(count)]


def _block(
    model: ArchitectureModel,
    group: described.Blocks,
    attention: nn.Module | None,
    feed_forward: nn.Module | None,
) -> nn.Module:
    cross = None
    if group.cross_attention is not None:
        cross = build_cross_attention(model, group.cross_attention)
    if group.norm_position == "pre":
        before, after = (
            None if part is None else _pre(model, group, part) for part in (attention, feed_forward)
        )
        if cross is None:
            return PreNormBlock(before, after)
        return PreNormCrossBlock(before, _pre(model, group, cross), after)
    first, last = (
        None if part is None else _post(model, group, part) for part in (attention, feed_forward)
    )
    if cross is None:
        return PostNormBlock(first, last)
    return PostNormCrossBlock(first, _post(model, group, cross), last)


def _post(model: ArchitectureModel, group: described.Blocks, function: nn.Module) -> PostNorm:
    return PostNorm(_norm(model, group), function, group.dropout)


def _pre(model: ArchitectureModel, group: described.Blocks, function: nn.Module | None) -> PreNorm:
    assert function is not None, "the rules ask reversible blocks for both"
    return PreNorm(_norm(model, group), function, group.dropout)


def _norm(model: ArchitectureModel, group: described.Blocks) -> nn.Module:
    return _NORMS[group.norm](model.hidden_size)
