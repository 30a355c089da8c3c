"""What cannot be, of an architecture and its workload: each field with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from planner.architecture import attention as attentions
from planner.architecture import feed_forward as feed_forwards
from planner.architecture.attention_rules import heads_problems, image_window_problems
from planner.architecture.bottleneck_rules import bottleneck_problems
from planner.architecture.description import ArchitectureModel, Blocks, TokenEmbedding
from planner.architecture.encoder_decoder_rules import cross_problems, decoder_problems
from planner.architecture.memory_rules import memory_problems
from planner.architecture.schedule import Layout, Stage, of_width, stages
from planner.architecture.schedule_rules import (
    attention_under_schedule_problems,
    class_token_problems,
    schedule_problems,
)
from planner.architecture.state_space import Mamba
from planner.errors import FieldProblem, InvalidRequest

if TYPE_CHECKING:
    from planner.request import Workload

Found = Iterator[FieldProblem]


def architecture_problems(model: ArchitectureModel, workload: Workload) -> list[FieldProblem]:
    """Everything that is wrong with a description for a workload."""
    problems = [
        *_workload_problems(model, workload),
        *_embedding_problems(model),
        *_task_problems(model),
        *decoder_problems(model, workload),
        *memory_problems(model, workload),
    ]
    problems += _stack_problems(model, model.tokens(workload.sequence_length), "/model/blocks")
    if model.decoder:
        targets = model.tokens(workload.target_length or workload.sequence_length)
        problems += _stack_problems(model.decoder_alone, targets, "/model/decoder")
    return problems


def _stack_problems(model: ArchitectureModel, tokens: int, pointer: str) -> Found:
    """Of the entries of the encoder, or of the decoder, for so many tokens."""
    known: list[Stage] = []
    try:
        for stage in stages(model, tokens):
            known.append(stage)
    except InvalidRequest as error:
        yield from error.errors
    width = model.hidden_size
    for index, group in enumerate(model.blocks):
        where, width = f"{pointer}/{index}", group.hidden_size or width
        layouts = known[index].blocks if index < len(known) else ()
        yield from _group_problems(group, where)
        yield from bottleneck_problems(group, where)
        yield from _blocks_problems(of_width(model, width).inside(group), group, layouts, where)


def _task_problems(model: ArchitectureModel) -> Found:
    if model.num_tasks > 1 and all(group.adapter is None for group in model.blocks):
        yield FieldProblem(
            "/model/num_tasks",
            "without adapters there is nothing that tasks have of their own",
            "give blocks an adapter, or leave it out",
        )


def _blocks_problems(
    model: ArchitectureModel, group: Blocks, layouts: tuple[Layout, ...], pointer: str
) -> Found:
    """Of an entry's parts; `layouts` are empty where another problem leaves them unknown."""
    yield from schedule_problems(model, group, pointer)
    yield from class_token_problems(group, layouts, pointer)
    kinds = _count(group.attention)
    for number in range(kinds):
        spec = group.attention_of(number)
        where = _place(group.attention, f"{pointer}/attention", number)
        yield from _attention_problems(model, spec, where, layouts[number::kinds])
        yield from attention_under_schedule_problems(group, spec, where)
    for number in range(_count(group.feed_forward)):
        where = _place(group.feed_forward, f"{pointer}/feed_forward", number)
        yield from _feed_forward_problems(model, group.feed_forward_of(number), where)
    if group.cross_attention is not None:
        yield from cross_problems(group, pointer)
        if isinstance(group.cross_attention, attentions.MultiHead):
            where = f"{pointer}/cross_attention"
            yield from _head_problems(model, group.cross_attention, where)


def _count(given: object) -> int:
    return len(given) if isinstance(given, list) else 1


def _place(given: object, pointer: str, number: int) -> str:
    return f"{pointer}/{number}" if isinstance(given, list) else pointer


def _workload_problems(model: ArchitectureModel, workload: Workload) -> Found:
    if workload.mode == "generation":
        yield FieldProblem(
            "/workload/mode",
            "architectures have no cache to generate with",
            'use "train" or "inference"',
        )
    if workload.image_size is not None:
        yield FieldProblem(
            "/workload/image_size",
            "an architecture's images have the size that its embedding says",
            "use /model/embedding/image_size",
        )
    length = model.tokens(workload.sequence_length)
    if isinstance(model.embedding, TokenEmbedding) and length > model.embedding.max_positions:
        yield FieldProblem(
            "/workload/sequence_length",
            f"{length} tokens are more than the {model.embedding.max_positions} positions",
            "raise /model/embedding/max_positions, or shorten the sequence",
        )


def _embedding_problems(model: ArchitectureModel) -> Found:
    pointer, spec = "/model/embedding", model.embedding
    of_images = spec.kind == "patches"
    of_labels = ("image-classification", "feature-extraction")
    if of_images and model.task not in of_labels:
        yield FieldProblem("/model/task", f"{model.task} is about tokens", "embed tokens")
    if not of_images and model.task == "image-classification":
        yield FieldProblem(pointer, "image-classification is about images", 'use kind "patches"')
    if not isinstance(spec, TokenEmbedding):
        if spec.image_size % spec.patch_size:
            yield FieldProblem(
                f"{pointer}/patch_size",
                f"{spec.patch_size} does not divide image_size {spec.image_size}",
                "use a divisor",
            )
        return
    if spec.trigram and model.is_causal:
        yield FieldProblem(
            f"{pointer}/trigram", "shows each token the next one", "use it in encoders"
        )
    if spec.positions == "axial":
        size = None if spec.trigram else spec.embedding_size
        yield from _axial_problems(spec, size or model.hidden_size)
    elif spec.axial_shape is not None or spec.axial_dims is not None:
        field = "axial_shape" if spec.axial_shape is not None else "axial_dims"
        yield FieldProblem(
            f"{pointer}/{field}",
            f"has no meaning for {spec.positions} positions",
            'leave it out, or use positions "axial"',
        )


def _axial_problems(spec: TokenEmbedding, size: int) -> Found:
    shape, dims = spec.axial_shape, spec.axial_dims
    if shape is None or shape[0] * shape[1] != spec.max_positions:
        yield FieldProblem(
            "/model/embedding/axial_shape",
            f"axial positions need rows and columns whose product is {spec.max_positions}",
            "give both, or change max_positions",
        )
    if dims is None or dims[0] + dims[1] != size:
        yield FieldProblem(
            "/model/embedding/axial_dims",
            f"axial positions need two widths whose sum is {size}",
            "give both",
        )


def _group_problems(group: Blocks, pointer: str) -> Found:
    for name in ("attention", "feed_forward"):
        given = getattr(group, name)
        if isinstance(given, list) and group.share in ("all", name):
            yield FieldProblem(
                f"{pointer}/{name}",
                "is a list, but the blocks share one",
                "give one, or share less",
            )
        elif isinstance(given, list) and group.repeat % len(given):
            yield FieldProblem(
                f"{pointer}/repeat",
                f"{group.repeat} blocks cannot take {len(given)} kinds of {name} in turn",
                "use a multiple",
            )
        kinds = {item.kind for item in (given if isinstance(given, list) else [given])}
        if group.residual == "reversible" and "none" in kinds:
            yield FieldProblem(
                f"{pointer}/{name}", "a reversible block needs both of its parts", "choose a kind"
            )
    if group.residual == "reversible" and group.norm_position == "post":
        yield FieldProblem(
            f"{pointer}/norm_position", "a norm of the sum cannot be inverted", 'use "pre"'
        )


def _attention_problems(
    model: ArchitectureModel,
    spec: attentions.Attention,
    pointer: str,
    layouts: tuple[Layout, ...],
) -> Found:
    if model.is_causal and not spec.causal_too:
        yield FieldProblem(
            f"{pointer}/kind",
            f"{spec.kind} mixes all tokens, so it cannot be causal",
            "use another task than text-generation, or another kind",
        )
    if isinstance(spec, attentions.Heads):
        yield from heads_problems(model.hidden_size, spec, pointer)
    if isinstance(spec, attentions.ImageWindow):
        yield from image_window_problems(spec, layouts, pointer)
    if isinstance(spec, Mamba) and spec.bidirectional and model.is_causal:
        yield FieldProblem(
            f"{pointer}/bidirectional",
            "a scan from the last token cannot be causal",
            "leave it out, or use another task than text-generation",
        )
    if not isinstance(spec, attentions.MultiHead):
        return
    yield from _head_problems(model, spec, pointer)
    yield from _length_problems(spec, pointer, [layout.count for layout in layouts], model)
    for field in ("conv_kernel_size", "window_blocks"):
        size = getattr(spec, field, None)
        if size is not None and size % 2 == 0:
            yield FieldProblem(f"{pointer}/{field}", f"{size} has no middle", "use an odd number")


def _head_problems(model: ArchitectureModel, spec: attentions.MultiHead, pointer: str) -> Found:
    if spec.head_dim is None and model.hidden_size % spec.num_heads:
        yield FieldProblem(
            f"{pointer}/num_heads",
            f"{spec.num_heads} does not divide hidden_size {model.hidden_size}",
            "use a divisor, or give head_dim",
        )
    head_dim = spec.head_dim or model.hidden_size // spec.num_heads
    if getattr(model.embedding, "positions", None) == "rotary" and head_dim % 2:
        yield FieldProblem(
            f"{pointer}/head_dim", f"rotary positions turn pairs, not {head_dim}", "use an even one"
        )
    groups = getattr(spec, "num_key_value_heads", None)
    if groups is not None and spec.num_heads % groups:
        yield FieldProblem(
            f"{pointer}/num_key_value_heads",
            f"{groups} does not divide num_heads {spec.num_heads}",
            "use a divisor",
        )
    projection = spec.projection
    if isinstance(projection, attentions.MemoryProjection):
        yield from _bits_problems(model, projection.bits, f"{pointer}/projection")
        if spec.num_heads * head_dim != model.hidden_size:
            yield FieldProblem(
                f"{pointer}/head_dim",
                "without an output projection the heads make hidden_size numbers",
                "leave head_dim out",
            )
    if isinstance(spec, attentions.Sparse) and spec.factors == "heads" and spec.num_heads % 2:
        yield FieldProblem(
            f"{pointer}/num_heads", f"{spec.num_heads} heads have no halves", "use an even number"
        )
    if isinstance(spec, attentions.LSH) and spec.num_buckets % 2:
        yield FieldProblem(
            f"{pointer}/num_buckets", "buckets come in opposite pairs", "use an even number"
        )


def _bits_problems(model: ArchitectureModel, bits: int, pointer: str) -> Found:
    if model.hidden_size % bits:
        yield FieldProblem(
            f"{pointer}/bits",
            f"{bits} does not divide hidden_size {model.hidden_size}",
            "use a divisor",
        )


_DIVISORS = {
    attentions.SlidingWindow: "window",
    attentions.Sparse: "stride",
    attentions.BlockSparse: "block_size",
    attentions.Performer: "chunk_size",
    attentions.LinearAttention: "chunk_size",
    attentions.Nystrom: "num_landmarks",
    attentions.LSH: "chunk_size",
}
"""The field of which the number of tokens is a multiple: tensors are cut into equal parts."""


def _length_problems(
    spec: attentions.MultiHead, pointer: str, counts: list[int], model: ArchitectureModel
) -> Found:
    field = _DIVISORS.get(type(spec))
    only_causal = isinstance(spec, attentions.Performer | attentions.LinearAttention)
    if field is not None and not (only_causal and not model.is_causal):
        size = getattr(spec, field)
        tokens = next((count for count in counts if count % size), None)
        if tokens is not None:
            yield FieldProblem(
                f"{pointer}/{field}",
                f"{size} does not divide the {tokens} tokens",
                f"use a divisor of {tokens}, or another sequence_length",
            )
    if isinstance(spec, attentions.Sparse) and spec.summary_tokens > spec.stride:
        yield FieldProblem(
            f"{pointer}/summary_tokens", "is more than stride", f"use at most {spec.stride}"
        )


def _feed_forward_problems(
    model: ArchitectureModel, spec: feed_forwards.FeedForward, pointer: str
) -> Found:
    if isinstance(spec, feed_forwards.MemoryFeedForward):
        yield from _bits_problems(model, spec.bits, pointer)
    if isinstance(spec, feed_forwards.ExpertsFeedForward) and spec.top_k > spec.num_experts:
        yield FieldProblem(
            f"{pointer}/top_k",
            f"a token cannot go to {spec.top_k} of {spec.num_experts} experts",
            "lower it",
        )
