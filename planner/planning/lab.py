"""One unit alone on the bench: what each option of it holds and costs, to the byte.

The unit's own forward and backward are executed on fake tensors with the option applied, fed with
tensors like those of the whole step and freed as its caller frees them. So nothing about an
option's memory is modelled: views, in-place ops, recompute chains and the working set of backward
are what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from planner.apply import apply_strategy, remove_strategy
from planner.apply.wrapping import wrap
from planner.cost import op_seconds
from planner.planning.calls import Call, TensorSpec, span_bytes
from planner.planning.selection import Spy
from planner.strategy import Strategy, UnitChoice
from planner.tape import Category, OpFlag, Tape
from planner.trace import Tracer
from planner.tracing.mode import TracingMode
from planner.tracing.probe import scratch_of_ops
from planner.tracing.recorder import Recorder

ROOT = "unit"

Recipe = tuple[UnitChoice, ...]
"""Choices for a unit and modules inside it; paths begin with `ROOT`."""


@dataclass(frozen=True)
class Measured:
    """What one option of a unit holds, in bytes, and costs.

    Attributes: as those of `planner.solve.problem.Option`; `forward_seconds` and `forward_flops`
        are of one forward, `seconds` and `flops` of what backward computes again.
    """

    saved_bytes: int
    forward_bytes: int
    backward_bytes: int
    seconds: float
    flops: int
    forward_seconds: float
    forward_flops: int
    tape: Tape


class Lab:
    """Measures options of one unit, as it was called in the baseline."""

    def __init__(
        self,
        tracer: Tracer,
        module: nn.Module,
        call: Call,
        *,
        shared: frozenset[int] = frozenset(),
        accumulates: bool = False,
        autocast: Callable[[], Any] | None = None,
    ) -> None:
        """Args:
        shared: storages of the baseline's tape that others hold too (masks, positions).
        accumulates: gradients exist when the unit's backward begins.
        autocast: makes the context that the step's forward runs in.
        """
        self._tracer = tracer
        self._module = module
        self._holder = nn.ModuleDict({ROOT: module})
        self._call = call
        self._shared = shared
        self._accumulates = accumulates
        self._autocast = autocast or nullcontext

    def measure(self, recipe: Recipe) -> Measured:
        """Execute the unit with these choices applied.

        Raises:
            Exception: whatever the unit's code raises when it runs alone or under the choices.
        """
        with self._applied(recipe):
            bench = _Bench(self._tracer, self._call, self._shared, self._autocast)
            return bench.run(self._module, self._accumulates)

    def spy(self) -> tuple[Spy, Tape] | None:
        """The calls of the unit as selective checkpointing sees them, and the tape they are on."""
        bench = _Bench(self._tracer, self._call, self._shared, self._autocast)
        spy = Spy(lambda: bench.recorder, [])
        wrap(self._module, spy)
        try:
            return spy, bench.run(self._module, self._accumulates).tape
        except Exception:  # the unit's own code does not work under these contexts
            return None
        finally:
            self._clean()

    @contextmanager
    def _applied(self, recipe: Recipe) -> Any:
        try:
            apply_strategy(self._holder, Strategy(units=list(recipe)))
            yield
        finally:
            self._clean()

    def _clean(self) -> None:
        remove_strategy(self._holder)
        for parameter in self._module.parameters():
            parameter.grad = None


class _Bench:
    """One measurement."""

    def __init__(
        self, tracer: Tracer, call: Call, shared: frozenset[int], autocast: Callable[[], Any]
    ) -> None:
        self._tracer = tracer
        self._call = call
        self._shared = shared
        self._autocast = autocast
        self._kept: list[Tensor] = []  # shared arguments: alive throughout
        self._handed_over = 0

    def run(self, module: nn.Module, accumulates: bool) -> Measured:
        mode = self._tracer.mode()
        recorder = self.recorder = mode.recorder
        with mode:
            mode.modules.name(module)
            self._adopt_state(recorder, module, accumulates)
            arguments = [self._call.make_arguments(lambda spec: self._make(recorder, spec))]
            self._base = recorder.live_bytes() - self._handed_over
            self._tracer.record(
                mode, recorder.appear, lambda: self._execute(mode, module, arguments)
            )
        tape = recorder.tape({"limitations": []})
        return self._measured(tape.with_scratch(scratch_of_ops(mode.probes, self._tracer.scratch)))

    def _execute(self, mode: TracingMode, module: nn.Module, arguments: list[Any]) -> None:
        recorder = mode.recorder
        recorder.begin_phase("step0.forward")
        with self._autocast():
            outputs = module(*arguments[0][0], **arguments[0][1])
        arguments.clear()  # the caller's variable takes the output now
        sources = [leaf for leaf in tree_leaves(outputs) if _needs_gradient(leaf)]
        handed_on = {recorder.storage_of(source) for source in sources}
        layouts = [(tuple(s.shape), s.stride(), s.dtype) for s in sources]
        self._gradients = sum(span_bytes(*layout) for layout in layouts)
        loss = _Ending.apply(layouts, *sources)  # type: ignore[no-untyped-call]
        del outputs, sources
        recorder.end_phase()
        # An output that the unit itself saved counts as the input of whoever takes it.
        taken = handed_on & recorder.live_storages()
        self._taken = sum(recorder.storage_bytes[storage] for storage in taken)
        self._saved = recorder.live_bytes() - self._base - self._taken - loss.nbytes
        mode.in_backward = True
        recorder.begin_phase("step0.backward")
        loss.backward()
        del loss
        recorder.end_phase()
        mode.in_backward = False

    def _adopt_state(self, recorder: Recorder, module: nn.Module, accumulates: bool) -> None:
        for name, parameter in module.named_parameters():
            recorder.adopt(parameter.data, Category.parameters, name)
            recorder.adopt(parameter, Category.parameters, name)
            if accumulates and parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter)
                recorder.adopt(parameter.grad, Category.gradients, f"{name}.grad")
        for name, buffer in module.named_buffers():
            recorder.adopt(buffer, Category.buffers, name)

    def _make(self, recorder: Recorder, spec: TensorSpec) -> Tensor:
        where = self._tracer.rules.tensor_device
        tensor = torch.empty_strided(spec.shape, spec.strides, dtype=spec.dtype, device=where)
        tensor.requires_grad_(spec.requires_grad)
        shared = spec.storage in self._shared
        recorder.adopt(tensor, Category.inputs if shared else Category.temporaries)
        if shared:
            self._kept.append(tensor)
        else:
            self._handed_over += tensor.untyped_storage().nbytes()
        return tensor

    def _measured(self, tape: Tape) -> Measured:
        live = np.concatenate([[0], tape.live_bytes]) - self._base
        forward, backward = (slice(int(a), int(b) + 1) for a, b in tape.phase_events)
        seconds = op_seconds(tape, self._tracer.device)
        again = (tape.op_flags & OpFlag.recompute) != 0
        in_forward = tape.op_phase == 0
        # The gradient of the output is there before the unit's backward begins.
        in_backward = int(live[backward].max()) - self._gradients - self._taken
        return Measured(
            saved_bytes=self._saved,
            forward_bytes=int(live[forward].max()) - self._handed_over,
            backward_bytes=max(in_backward, self._saved),
            seconds=float(seconds[again].sum()),
            flops=int(tape.op_flops[again].sum()),
            forward_seconds=float(seconds[in_forward].sum()),
            forward_flops=int(tape.op_flops[in_forward].sum()),
            tape=tape,
        )


class _Ending(torch.autograd.Function):
    """Stands for the rest of the model: its backward makes the gradients of the unit's outputs and
    holds nothing.
    """

    @staticmethod
    def forward(ctx: Any, layouts: Iterable[Any], *outputs: Tensor) -> Tensor:
        ctx.layouts = layouts
        ctx.device = outputs[0].device if outputs else None
        return torch.zeros((), device=ctx.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        made = [
            torch.empty_strided(shape, strides, dtype=dtype, device=ctx.device)
            for shape, strides, dtype in ctx.layouts
        ]
        return None, *made


def _needs_gradient(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.requires_grad
