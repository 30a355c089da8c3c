"""Where strategies are simulated: jobs on fake tensors, one for each *shape* of the workload.

A shape is what changes the model or its inputs (micro-batches, attention, precision, optimizer
states); the rest of a strategy is applied to a built job and taken off again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from planner.planning.subject import Subject
from planner.step import Job
from planner.strategy import Strategy
from planner.tape import Tape
from planner.trace import Tracer

Factory = Callable[[Strategy], Job]
"""Builds the job of a shape."""

PREVIEW_MICRO_BATCHES = 2
"""Memory in every micro-batch after the first is alike, so two show the levels of many."""


@dataclass
class Workshop:
    """Subjects by shape, made when they are first asked for."""

    tracer: Tracer
    factory: Factory
    traces: int = 0
    _subjects: dict[tuple[str, bool], Subject] = field(default_factory=dict, repr=False)

    def subject(self, strategy: Strategy, preview: bool = False) -> Subject:
        """The subject of the strategy's shape; a preview has two micro-batches instead of many."""
        shape = shape_of(strategy)
        whole = self._built(shape, short=False)
        if not preview or whole.job.workload.gradient_accumulation_steps <= PREVIEW_MICRO_BATCHES:
            return whole
        return self._built(shape, short=True)

    def _built(self, shape: Strategy, short: bool) -> Subject:
        key = (shape.model_dump_json(), short)
        if key not in self._subjects:
            subject = self._subjects[key] = Subject(self.tracer, lambda: self.factory(shape))
            if short:
                _shorten(subject.job)
        return self._subjects[key]

    def trace(self, strategy: Strategy, preview: bool = False, whole: bool = False) -> Tape:
        """The tape of a step under the strategy, or of the whole workload.

        Raises:
            HeadroomError: the model does not work under it.
        """
        self.traces += 1
        return self.subject(strategy, preview).certify(without_shape(strategy), whole)


_SHAPE: dict[str, object] = {
    "micro_batches": 1,
    "attention": None,
    "precision": None,
    "optimizer_states": None,
    "compression": [],
}


def shape_of(strategy: Strategy) -> Strategy:
    """The part of a strategy that changes the model or its inputs."""
    return Strategy(**{name: getattr(strategy, name) for name in _SHAPE})


def without_shape(strategy: Strategy) -> Strategy:
    """The part of a strategy that is applied to a built job."""
    return strategy.model_copy(update=_SHAPE)


def _shorten(job: Job) -> None:
    update = {"gradient_accumulation_steps": PREVIEW_MICRO_BATCHES}
    job.workload = job.workload.model_copy(update=update)
