"""What cannot be, of encoders with decoders: each field with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from planner.architecture.attention import Dense, LinearProjection
from planner.architecture.description import ArchitectureModel, Blocks
from planner.errors import FieldProblem

if TYPE_CHECKING:
    from planner.request import Workload

Found = Iterator[FieldProblem]


def decoder_problems(model: ArchitectureModel, workload: Workload) -> Found:
    """Whether there is a decoder where there must be one, and only there."""
    translates = model.task == "text2text-generation"
    if translates and not model.decoder:
        yield FieldProblem(
            "/model/decoder",
            "text2text-generation needs a decoder",
            "give its blocks, each with a cross_attention, or use text-generation",
        )
    if model.decoder and not translates:
        yield FieldProblem(
            "/model/decoder",
            f"{model.task} has no decoder beside its blocks",
            "use task text2text-generation, or leave it out",
        )
    if not translates and workload.target_length is not None:
        yield FieldProblem(
            "/workload/target_length",
            "the network is no encoder-decoder, so its labels have the input's length",
            "leave it out",
        )
    for index, group in enumerate(model.decoder):
        if group.cross_attention is None:
            yield FieldProblem(
                f"/model/decoder/{index}/cross_attention",
                "a decoder's block attends to the encoder's outputs",
                'give one, such as {"kind": "dense", "num_heads": 8}',
            )
    yield from _target_problems(model, workload)
    if model.decoder and getattr(model.embedding, "trigram", False):
        yield FieldProblem(
            "/model/embedding/trigram",
            "a convolution over both neighbours shows a decoder the next token",
            "set it to false",
        )
    for name in ("blocks", "decoder"):
        yield from _width_problems(model, getattr(model, name), f"/model/{name}")


def _width_problems(model: ArchitectureModel, groups: list[Blocks], pointer: str) -> Found:
    """Both sides, and a memory, have one width."""
    if not model.decoder and model.memory is None:
        return
    for index, group in enumerate(groups):
        if group.hidden_size not in (None, model.hidden_size):
            yield FieldProblem(
                f"{pointer}/{index}/hidden_size",
                "encoder, decoder and memory attend to each other in one width",
                "leave it out",
            )


def _target_problems(model: ArchitectureModel, workload: Workload) -> Found:
    most = getattr(model.embedding, "max_positions", None)
    length = model.tokens(workload.target_length or 0)
    if model.decoder and most is not None and length > most:
        yield FieldProblem(
            "/workload/target_length",
            f"{length} tokens are more than the {most} positions",
            "raise /model/embedding/max_positions, or shorten the target",
        )


def cross_problems(group: Blocks, pointer: str) -> Found:
    """What cannot attend from one sequence to another."""
    spec, where = group.cross_attention, f"{pointer}/cross_attention"
    if not isinstance(spec, Dense):
        kind = "none" if spec is None else spec.kind
        yield FieldProblem(
            f"{where}/kind",
            f"{kind} mixes the tokens of one sequence, whose places it compares",
            'use "dense"',
        )
    elif not isinstance(spec.projection, LinearProjection):
        yield FieldProblem(
            f"{where}/projection/kind",
            "tables are read by one hash for queries, keys and values, so by one sequence",
            'use "linear"',
        )
    for field in ("adapter", "bottleneck"):
        if getattr(group, field) is not None:
            yield FieldProblem(
                f"{pointer}/{field}", "does not go with cross_attention", "leave one of them out"
            )
    if group.residual == "reversible":
        yield FieldProblem(
            f"{pointer}/residual",
            "a reversible block has two parts, attention and feed-forward",
            'use "plain" where there is cross_attention',
        )
