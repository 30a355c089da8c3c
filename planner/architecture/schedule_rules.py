"""What a schedule of tokens cannot be combined with: each field with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner.architecture import attention as attentions
from planner.architecture.description import ArchitectureModel, Blocks
from planner.architecture.schedule import Layout
from planner.architecture.tokens import MergeTokens, PoolTokens, PruneTokens
from planner.errors import FieldProblem

Found = Iterator[FieldProblem]

_CLASSIFYING = ("text-classification", "image-classification", "feature-extraction")


def schedule_problems(model: ArchitectureModel, group: Blocks, pointer: str) -> Found:
    """Of an entry as a whole."""
    if group.tokens is None:
        return
    if model.task not in _CLASSIFYING:
        yield FieldProblem(
            f"{pointer}/tokens",
            f"{model.task} needs every token, and a schedule lets fewer go on",
            f"leave tokens out, or use one of the tasks {', '.join(_CLASSIFYING)}",
        )
    if getattr(model.embedding, "positions", None) == "rotary":
        yield FieldProblem(
            f"{pointer}/tokens",
            "rotary positions turn tokens by their place, which a schedule changes",
            'use /model/embedding/positions "learned" or "sinusoidal"',
        )
    if group.residual == "reversible" and (group.tokens.in_blocks or _pools_queries(group)):
        yield FieldProblem(
            f"{pointer}/residual",
            f"a block that lets fewer tokens go on ({group.tokens.kind}) cannot be inverted",
            'use "plain"',
        )
    if group.tokens.in_blocks or _pools_queries(group):
        for field in ("adapter", "bottleneck"):
            if getattr(group, field) is not None:
                yield FieldProblem(
                    f"{pointer}/{field}",
                    f"does not go with blocks that let fewer tokens go on ({group.tokens.kind})",
                    "leave one of them out, or make them two entries",
                )
    if _pools_queries(group):
        yield from _pooled_query_problems(group.attention_of(0), pointer)


def _pools_queries(group: Blocks) -> bool:
    return isinstance(group.tokens, PoolTokens) and group.tokens.queries_only


def _pooled_query_problems(spec: attentions.Attention, pointer: str) -> Found:
    if not isinstance(spec, attentions.Dense) or spec.projection.kind != "linear":
        yield FieldProblem(
            f"{pointer}/tokens/queries_only",
            "only dense attention with linear projections takes fewer queries than keys",
            "set it to false, or change the first block's attention",
        )


def attention_under_schedule_problems(
    group: Blocks, spec: attentions.Attention, pointer: str
) -> Found:
    """Of one attention of an entry."""
    tokens = group.tokens
    if not isinstance(tokens, MergeTokens | PruneTokens):
        return
    dense = isinstance(spec, attentions.Dense)
    with_keys = isinstance(spec, attentions.MultiHead)
    if not with_keys or isinstance(spec, attentions.ImageWindow):
        yield FieldProblem(
            f"{pointer}/kind",
            f"{spec.kind} has no keys of whole sequences to {tokens.kind} tokens by",
            'use "dense", or another kind with heads',
        )
    elif isinstance(tokens, PruneTokens) and not dense:
        yield FieldProblem(
            f"{pointer}/kind",
            f"pruning asks what the class token attends to, which {spec.kind} does not tell",
            'use "dense", or /tokens of kind "merge" or "pool"',
        )
    elif isinstance(tokens, MergeTokens) and tokens.proportional_attention and not dense:
        yield FieldProblem(
            f"{pointer}/kind",
            f"proportional attention adds to the scores of dense attention, not of {spec.kind}",
            'use "dense", or set proportional_attention to false',
        )
    if isinstance(spec, attentions.BlockSparse) and group.share in ("all", "attention"):
        yield FieldProblem(
            f"{pointer}/kind",
            "shared blocks have one pattern, and each sees another number of tokens",
            "share less, or use another kind",
        )


def class_token_problems(group: Blocks, layouts: Sequence[Layout], pointer: str) -> Found:
    """Of an entry that prunes by a class token."""
    if isinstance(group.tokens, PruneTokens) and layouts and not layouts[0].has_first:
        yield FieldProblem(
            f"{pointer}/tokens",
            "there is no class token whose attention tells what to prune",
            'use pooling "first" and a classifying task, or kind "merge"',
        )
