"""What cannot be, of a memory between segments: each field with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from planner.architecture.description import ArchitectureModel
from planner.architecture.memory import Memory
from planner.errors import FieldProblem

if TYPE_CHECKING:
    from planner.request import Workload

Found = Iterator[FieldProblem]

_OF_EVERY_TOKEN = ("text-generation", "text2text-generation", "fill-mask")


def memory_problems(model: ArchitectureModel, workload: Workload) -> Found:
    """Whether the memory is read, can be written, and segments are equal."""
    readers = [i for i, group in enumerate(model.blocks) if group.cross_attention is not None]
    if model.memory is None:
        for index in readers:
            yield FieldProblem(
                f"/model/blocks/{index}/cross_attention",
                "there is no other sequence that these blocks could attend to",
                "give the model a memory, or put the blocks into /model/decoder",
            )
        return
    if model.task not in _OF_EVERY_TOKEN:
        yield FieldProblem(
            "/model/memory",
            f"{model.task} has one answer for all segments, or none",
            f"use one of {', '.join(_OF_EVERY_TOKEN)}, or leave it out",
        )
    if not readers:
        yield FieldProblem(
            "/model/memory",
            "no block reads it",
            'give an entry of /model/blocks a cross_attention, such as {"kind": "dense"}',
        )
    if model.hidden_size % model.memory.num_heads:
        yield FieldProblem(
            "/model/memory/num_heads",
            f"{model.memory.num_heads} does not divide hidden_size {model.hidden_size}",
            "use a divisor",
        )
    yield from _length_problems(model.memory, workload)


def _length_problems(memory: Memory, workload: Workload) -> Found:
    for field in ("sequence_length", "target_length"):
        length = getattr(workload, field)
        if length is not None and length % memory.segments:
            yield FieldProblem(
                f"/workload/{field}",
                f"{length} tokens make no {memory.segments} segments of one length",
                f"use a multiple of {memory.segments}, or other /model/memory/segments",
            )
