"""What is planned: something that builds a job, traced once with nothing applied."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from planner.apply import apply_strategy, remove_strategy
from planner.planning.calls import Call, CallRecorder
from planner.step import Job, autocast
from planner.strategy import Strategy
from planner.tape import Tape
from planner.trace import Tracer, forget_step


@dataclass
class Baseline:
    """A step with nothing applied.

    Attributes:
        calls: module calls of the last forward traced.
    """

    tape: Tape
    calls: list[Call]


class Subject:
    """A job on fake tensors that is traced under one strategy after the other."""

    def __init__(self, tracer: Tracer, make: Callable[[], Job]) -> None:
        self.tracer = tracer
        self.job = tracer.build(make)
        self.micro_batches = self.job.workload.gradient_accumulation_steps  # in a whole step

    def baseline(self) -> Baseline:
        """Trace the step as it is and note who calls whom."""
        names = {module: path for path, module in self.job.model.named_modules()}
        listeners: list[CallRecorder] = []

        def listen(mode: Any) -> CallRecorder:
            listeners.append(CallRecorder(mode, names))
            return listeners[0]

        tape = self.tracer.trace(self.job, listener=listen)
        forget_step(self.job)
        calls = listeners[0].calls
        return Baseline(tape, [call for call in calls if call.phase == calls[-1].phase])

    def certify(self, strategy: Strategy) -> Tape:
        """The tape of the step with the strategy applied.

        Raises:
            StrategyMismatch, StepFailed: the model does not work under it.
        """
        apply_strategy(self.job.model, strategy, self.job.optimizer)
        try:
            return self.tracer.trace(self.job)
        finally:
            remove_strategy(self.job.model)
            forget_step(self.job)

    @property
    def accumulates(self) -> bool:
        """Whether gradients exist when the last backward begins."""
        return self.job.workload.gradient_accumulation_steps > 1

    def autocast(self) -> AbstractContextManager[Any]:
        """The context that the job's forward runs in."""
        return autocast(self.job)
