"""Whole-step levers, each combination a variant with a problem of its own for the units."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from planner.apply.chunked_loss import find_head
from planner.cost import step_seconds
from planner.errors import HeadroomError
from planner.planning.calls import TensorSpec
from planner.planning.compose import Composition, compose
from planner.planning.lab import Lab
from planner.planning.options import Options, measure_options
from planner.planning.pool import Pool, Task
from planner.planning.subject import Baseline, Subject
from planner.planning.units import Found, find_units
from planner.strategy import OptimizerChoice, Strategy
from planner.tape import Tape

LOSS_CHUNKS = 8


@dataclass
class Variant:
    """A choice of levers, with the problem that remains for the units.

    Attributes:
        levers: the strategy without units.
        seconds: time of a step with only the levers applied, never less than the plain step's.
        credit_seconds: by how much it would be less.
    """

    levers: Strategy
    composition: Composition
    seconds: float
    credit_seconds: float = 0.0


@dataclass
class Shape:
    """A shape of the workload: its baseline, its units and what each kind may do."""

    subject: Subject
    baseline: Baseline
    found: list[Found]
    options: dict[str, Options]
    micro_batches: int

    @property
    def problems(self) -> list[str]:
        """Why some units have no options."""
        return sorted({each.problem for each in self.options.values() if each.problem})

    def seconds(self, tape: Tape) -> float:
        """Time of the whole step, of which the tape may show fewer micro-batches."""
        return step_seconds(tape, self.subject.tracer.device, self.micro_batches)

    def variant(self, levers: Strategy, tape: Tape) -> Variant:
        """The variant of this shape whose step, without units, has this tape."""
        composition = compose(tape, self.found, self.options, self.micro_batches)
        return Variant(levers, composition, self.seconds(tape))


def explore_shape(
    subject: Subject,
    baseline: Baseline,
    micro_batches: int,
    patterns: list[str] | None,
    allowed: frozenset[str],
) -> Shape:
    """Find the units of a shape and measure their options.

    Args:
        micro_batches: in a whole step, of which the baseline may show fewer.

    Raises:
        InvalidRequest: a pattern matches nothing.
    """
    found = find_units(subject.job.model, baseline.tape, baseline.calls, patterns)
    shared = _shared_storages(found)
    options: dict[str, Options] = {}
    for unit in found:
        if unit.kind not in options:
            lab = Lab(
                subject.tracer,
                unit.module,
                unit.calls[0],
                shared=shared,
                accumulates=subject.accumulates,
                autocast=subject.autocast,
            )
            options[unit.kind] = measure_options(lab, subject.tracer, unit, allowed)
    return Shape(subject, baseline, found, options, micro_batches)


def _shared_storages(found: list[Found]) -> frozenset[int]:
    """Storages given to several calls: masks, positions, an encoder's output."""
    takers: Counter[int] = Counter()
    for unit in found:
        for call in unit.calls:
            specs = [leaf for leaf in call.arguments if isinstance(leaf, TensorSpec)]
            takers.update({spec.storage for spec in specs})
    return frozenset(storage for storage, count in takers.items() if count > 1)


def lever_strategies(shape: Strategy, subject: Subject, allowed: frozenset[str]) -> list[Strategy]:
    """Levers that are applied to a built job, in combinations, those that change least first."""
    optimizers = [None, *_optimizer_choices(subject, allowed)]
    chunks = [1]
    if "chunked_loss" in allowed and find_head(subject.job.model) is not None:
        chunks.append(LOSS_CHUNKS)
    return [
        shape.model_copy(update={"loss_chunks": count, "optimizer": optimizer or OptimizerChoice()})
        for optimizer, count in itertools.product(optimizers, chunks)
        if optimizer is not None or count > 1
    ]


def _optimizer_choices(subject: Subject, allowed: frozenset[str]) -> Iterator[OptimizerChoice]:
    optimizer, workload = subject.job.optimizer, subject.job.workload
    assert optimizer is not None
    group = optimizer.param_groups[0]
    fused = "optimizer_implementation" in allowed and "fused" in group and not group["fused"]
    implementation = "fused" if fused else None
    in_backward = (
        "optimizer_in_backward" in allowed
        and workload.gradient_accumulation_steps == 1
        and workload.precision != "amp-fp16"
    )
    if in_backward:
        yield OptimizerChoice(implementation=implementation, in_backward=True)
    elif fused:
        yield OptimizerChoice(implementation="fused")


def lever_variants(pool: Pool, shape: Shape, levers: list[Strategy]) -> list[Variant]:
    """The variants of a shape under these levers; those that the model does not admit are left out
    (a loss that needs whole logits, say).
    """
    tapes = pool.trace(Task(each, preview=True) for each in levers)
    return [
        shape.variant(strategy, tape)
        for strategy, tape in zip(levers, tapes, strict=True)
        if not isinstance(tape, HeadroomError)
    ]
