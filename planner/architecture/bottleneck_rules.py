"""What cannot be, of blocks with a bottleneck: each field with a remedy."""

from __future__ import annotations

from collections.abc import Iterator

from planner.architecture import attention as attentions
from planner.architecture.bottleneck import Bottleneck
from planner.architecture.description import Blocks
from planner.errors import FieldProblem


def bottleneck_problems(group: Blocks, pointer: str) -> Iterator[FieldProblem]:
    """Everything of an entry that does not go with its bottleneck."""
    if group.bottleneck is None:
        return
    for field, value, remedy in (
        ("residual", group.residual == "reversible", 'use "plain"'),
        ("norm_position", group.norm_position == "pre", 'use "post"'),
        ("share", group.share in ("attention", "feed_forward"), 'use "none" or "all"'),
        ("adapter", group.adapter is not None, "leave one of them out"),
    ):
        if value:
            yield FieldProblem(
                f"{pointer}/{field}", "does not go with blocks that have a bottleneck", remedy
            )
    for field in ("attention", "feed_forward"):
        given = getattr(group, field)
        for spec in given if isinstance(given, list) else [given]:
            if spec.kind == "none":
                yield FieldProblem(
                    f"{pointer}/{field}", "a bottleneck block needs both parts", "choose a kind"
                )
            elif field == "attention":
                yield from _input_problems(group.bottleneck, spec, f"{pointer}/bottleneck")


def _input_problems(
    spec: Bottleneck, attention: attentions.Attention, pointer: str
) -> Iterator[FieldProblem]:
    """Queries, keys and values of different inputs are linear maps of their own."""
    own_maps = (
        isinstance(attention, attentions.MultiHead)
        and not isinstance(attention, attentions.LSH)
        and attention.projection.kind == "linear"
    )
    if spec.attention_input != "bottleneck" and not own_maps:
        yield FieldProblem(
            f"{pointer}/attention_input",
            f"{attention.kind} has no linear maps of queries, keys and values",
            'use "bottleneck"',
        )
