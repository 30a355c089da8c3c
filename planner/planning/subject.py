"""What is planned: something that builds a job, traced once with nothing applied."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from planner.apply import apply_strategy, remove_strategy
from planner.planning.calls import Call, CallRecorder
from planner.step import Job, autocast
from planner.strategy import OptimizerChoice, Strategy
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


State = dict[Any, Any]
"""Of an optimizer, by parameter."""


class Subject:
    """A job on fake tensors that is traced under one strategy after the other."""

    def __init__(self, tracer: Tracer, make: Callable[[], Job]) -> None:
        self.tracer = tracer
        self.job = tracer.build(make)
        self.micro_batches = self.job.workload.gradient_accumulation_steps  # in a whole step
        self._states: dict[str, State] = {}

    def baseline(self) -> Baseline:
        """Trace the step as it is and note who calls whom."""
        names = {module: path for path, module in self.job.model.named_modules()}
        listeners: list[CallRecorder] = []

        def listen(mode: Any) -> CallRecorder:
            listeners.append(CallRecorder(mode, names))
            return listeners[0]

        tape = self.tracer.trace(self.job, listener=listen)
        self._remember(OptimizerChoice())
        calls = listeners[0].calls
        return Baseline(tape, [call for call in calls if call.phase == calls[-1].phase])

    def certify(self, strategy: Strategy, whole: bool = True) -> Tape:
        """The tape of the workload with the strategy applied.

        Args:
            whole: the first step too, in which the optimizer makes its state. Otherwise that is
            left out as soon as there is a state: the steps differ in nothing else.

        Raises:
            StrategyMismatch, StepFailed: the model does not work under it.
        """
        optimizer = self.job.optimizer
        state = None if whole else self._states.get(strategy.optimizer.model_dump_json())
        apply_strategy(self.job.model, strategy, optimizer)
        try:
            if optimizer is not None and state is not None:
                optimizer.state.update(state)
            tape = self.tracer.trace(self.job, settled=state is not None)
            self._remember(strategy.optimizer)
            return tape
        finally:
            remove_strategy(self.job.model)
            forget_step(self.job)

    def _remember(self, choice: OptimizerChoice) -> None:
        """Keep the state that the optimizer has now under this choice, and take it off the job."""
        if self.job.optimizer is not None:
            self._states[choice.model_dump_json()] = dict(self.job.optimizer.state)
        forget_step(self.job)

    @property
    def accumulates(self) -> bool:
        """Whether gradients exist when the last backward begins."""
        return self.job.workload.gradient_accumulation_steps > 1

    def autocast(self) -> AbstractContextManager[Any]:
        """The context that the job's forward runs in."""
        return autocast(self.job)
