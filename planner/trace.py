"""From a request to a tape: the workload's own eager steps on fake tensors of the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from planner.devices import DeviceProfile
from planner.errors import LimitExceeded
from planner.request import SimulationRequest
from planner.step import STEPS, Job, execute, prepare
from planner.tape import Category, Tape
from planner.tracing.compat import real_step_behaviour, rng_states_seen
from planner.tracing.fake import REAL_FLOATS_BUILDING, REAL_FLOATS_STEPPING, FakeExecution
from planner.tracing.kernel_calls import KernelCall
from planner.tracing.mode import TracingMode
from planner.tracing.modules import CallListener
from planner.tracing.probe import with_probed_scratch
from planner.tracing.recorder import Recorder
from planner.tracing.rules import rules_for

Progress = Callable[[str], None]

MAX_OPS = 5_000_000
MAX_PARAMETERS = 10**13


def trace(
    request: SimulationRequest,
    device: DeviceProfile,
    *,
    progress: Progress | None = None,
    max_ops: int = MAX_OPS,
    probe: bool = True,
) -> Tape:
    """Execute the workload on fake tensors and return its tape.

    Call it in a process of its own: it patches library functions while it runs.

    Args:
        progress: told the name of each phase as it begins.
        max_ops: bound of the tape.
        probe: ask kernels of this host for their scratch (`planner.tracing.probe`); it starts
        threads.

    Raises:
        InvalidRequest, ModelBuildFailed, StepFailed: the description or its step is wrong.
        LimitExceeded: more than `max_ops` ops or `MAX_PARAMETERS` parameters.
    """
    tracer = Tracer(device, max_ops)
    with tracer.active():
        job = tracer.build(
            lambda: prepare(request, tracer.rules.tensor_device),
            recorded=bool(request.strategy.compression),
        )
        return tracer.trace(job, progress=progress, probe=probe)


class Tracer:
    """Builds jobs on fake tensors and traces them, each trace to a tape of its own.

    One job can be traced several times, under another strategy each time: see `forget_step`.
    """

    def __init__(self, device: DeviceProfile, max_ops: int = MAX_OPS) -> None:
        self.device = device
        self.rules = rules_for(device)
        self._max_ops = max_ops
        self.scratch: dict[KernelCall, int] = {}  # of kernels asked so far
        self.load_peak_bytes: int | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Everything else happens inside: library functions are patched meanwhile."""
        self._appear: Callable[[Tensor, str], None] = lambda tensor, name: None
        with (
            real_step_behaviour(),
            self.rules.active(),
            rng_states_seen(lambda tensor, name: self._appear(tensor, name)),
        ):
            yield

    @cached_property
    def _execution(self) -> FakeExecution:
        return self.rules.execution()  # needs the device to be active

    def build(self, make: Callable[[], Job], *, recorded: bool = False) -> Job:
        """What `make` makes, on fake tensors.

        Args:
            recorded: find `load_peak_bytes`, the most that is alive meanwhile; the initialisation
                of weights, which fake ones do without, is not in it.
        """
        self._execution.real_floats = REAL_FLOATS_BUILDING
        tracing = torch._guards.tracing(torch._guards.TracingContext(self._execution.mode))
        mode = self.mode()
        mode.recorder.begin_phase("load")
        mode.recording = recorded
        with mode, tracing:
            job = make()
        mode.recording = False
        mode.recorder.end_phase()
        if recorded:
            tape = self.rules.served(mode.recorder.tape({"limitations": []}))
            self.load_peak_bytes = int(tape.live_bytes.max())
        _check_size(job)
        return job

    def mode(self) -> TracingMode:
        """A dispatch mode with an empty tape."""
        return TracingMode(self._execution, Recorder(self._max_ops), self.rules)

    def trace(
        self,
        job: Job,
        *,
        progress: Progress | None = None,
        probe: bool = True,
        settled: bool = False,
        listener: Callable[[TracingMode], CallListener] | None = None,
    ) -> Tape:
        """The tape of the job's workload.

        Args:
            settled: the last step only, for a job whose optimizer has its state already.
            listener: made for the trace's mode, it hears of every module call.
        """
        mode = self.mode()
        hooks = _TapeHooks(mode, progress or (lambda phase: None))
        if listener is not None:
            mode.modules.listener = listener(mode)
        with mode:
            hooks.built(job)
            first, steps = (STEPS - 1, 1) if settled else (0, STEPS)
            self.record(mode, hooks.appear, lambda: execute(job, hooks, steps, first))
        parameters = [parameter for _, parameter in job.named_parameters()]
        tape = mode.recorder.tape(
            {
                "device": self.device.name,
                "parameter_count": sum(p.numel() for p in parameters),
                "trainable_parameter_count": sum(p.numel() for p in parameters if p.requires_grad),
                "limitations": self.rules.limitations(mode.recorder.names),
                "load_peak_bytes": self.load_peak_bytes,
            }
        )
        if probe and self.rules.asks_kernels:
            tape = with_probed_scratch(tape, mode.probes, known=self.scratch)
        return self.rules.served(tape)

    def record(
        self, mode: TracingMode, appear: Callable[[Tensor, str], None], run: Callable[[], None]
    ) -> None:
        """Run something under an active mode whose models are named, onto its tape."""
        self._appear = appear
        self._execution.real_floats = REAL_FLOATS_STEPPING
        mode.recording = True
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # what runs for real is small, and waiting threads spin
        try:
            with mode.modules.following():
                run()
        finally:
            torch.set_num_threads(threads)
            mode.recording = False
            self._appear = lambda tensor, name: None


def forget_step(job: Job) -> None:
    """Take a job back to before its first step: no gradients, no optimizer state."""
    for parameter in job.model.parameters():
        parameter.grad = None
    if job.optimizer is not None:
        job.optimizer.state.clear()


class _TapeHooks:
    """Marks phases on the tape and says what storages are for, as soon as that is known."""

    def __init__(self, mode: TracingMode, progress: Progress) -> None:
        self.mode = mode
        self.recorder = mode.recorder
        self.progress = progress
        self._first_storage = 0

    def built(self, job: Job) -> None:
        self.job = job
        self.mode.modules.name(job.model)
        for name, parameter in job.named_parameters():
            self._adopt(parameter.data, Category.parameters, name)
            self._adopt(parameter, Category.parameters, name)
        for name, buffer in job.named_buffers():
            self._adopt(buffer, Category.buffers, name)
        for name, tensor in _named_tensors(job.all_inputs()):
            self._adopt(tensor, Category.inputs, name)
        if job.optimizer is not None:
            for tensor, name in self._optimizer_state():
                self._adopt(tensor, Category.optimizer_state, name)

    def _adopt(self, tensor: Tensor, category: Category, name: str) -> None:
        if self.mode.execution.on_device(tensor):
            self.recorder.adopt(tensor, category, name)

    def appear(self, tensor: Tensor, name: str) -> None:
        if self.mode.recording and self.mode.execution.on_device(tensor):
            self.recorder.appear(tensor, name)

    def enter(self, phase: str) -> None:
        self.progress(phase)
        self.recorder.begin_phase(phase)
        self.mode.in_backward = phase.endswith("backward")
        self._first_storage = len(self.recorder.storage_bytes)

    def exit(self, phase: str) -> None:
        self.mode.in_backward = False
        if phase.endswith("forward") and self.job.optimizer is not None:
            self.recorder.mark_survivors(self._first_storage, Category.activations)
        elif phase.endswith("backward"):
            for name, parameter in self.job.model.named_parameters():
                if parameter.grad is not None:
                    self.recorder.recategorise(parameter.grad, Category.gradients, f"{name}.grad")
        elif phase.endswith("optimizer_step"):
            self._mark_optimizer_state()
        self.recorder.end_phase()

    def _mark_optimizer_state(self) -> None:
        for tensor, name in self._optimizer_state():
            self.recorder.recategorise(tensor, Category.optimizer_state, name)

    def _optimizer_state(self) -> Iterator[tuple[Tensor, str]]:
        assert self.job.optimizer is not None
        names: dict[Tensor, str] = {
            parameter: name for name, parameter in self.job.model.named_parameters()
        }
        for parameter, state in self.job.optimizer.state.items():
            for key, value in _named_tensors(state):
                yield value, f"{names.get(parameter, '?')}.{key}"


def _named_tensors(value: Any, prefix: str = "") -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(prefix, value)]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, (list, tuple))
        else ()
    )
    return [
        named
        for key, item in items
        for named in _named_tensors(item, f"{prefix}.{key}" if prefix else str(key))
    ]


def _check_size(job: Job) -> None:
    count = sum(parameter.numel() for _, parameter in job.named_parameters())
    if count > MAX_PARAMETERS:
        raise LimitExceeded(f"the model has {count} parameters; the limit is {MAX_PARAMETERS}")
