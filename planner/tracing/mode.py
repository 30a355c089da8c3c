"""The dispatch mode of a trace: every op goes to fake execution and onto the tape."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._prims_common import is_non_overlapping_and_dense_or_false
from torch.utils._python_dispatch import TorchDispatchMode

from planner.tape import Category
from planner.tracing.fake import FakeExecution
from planner.tracing.modules import ModuleStack
from planner.tracing.opinfo import OpInfo, op_info, tensors_in
from planner.tracing.probe import Probes
from planner.tracing.recorder import Recorder
from planner.tracing.rules import CPU, DeviceRules

_DEVICE = torch.ops.prim.device.default
_ADD = torch.ops.aten.add.Tensor
# What the gradients of gather, indexing, index_select and of selecting reductions are put with.
_PUT = frozenset(
    {
        torch.ops.aten.scatter_add.default,
        torch.ops.aten.index_put.default,
        torch.ops.aten.index_add.default,
        torch.ops.aten.scatter.src,
    }
)


class TracingMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs ops on fake tensors; between `begin` and `end` of a phase it records them."""

    def __init__(
        self, execution: FakeExecution, recorder: Recorder, rules: DeviceRules = CPU
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.execution = execution
        self.recorder = recorder
        self.rules = rules
        self.modules = ModuleStack(recorder.module_id)
        self.probes = Probes()
        self.recording = False
        self.in_backward = False
        self._decomposing = 0
        self._recompute_from: int | None = None  # first storage of the recomputation going on

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the wrapper costs as much as recording

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is _DEVICE:
            return self.execution.device_of(args[0])
        kwargs = kwargs or {}
        info = op_info(func)
        if self.execution.is_composite(func, info):
            # Under inference mode composite ops arrive whole; their parts are what the device
            # executes. (Views among the parts pass no autograd kernel that makes them views of a
            # parameter; those that the model's code makes do, and refuse to be made so before.)
            self._decomposing += 1
            try:
                with self:
                    result = self.execution.decompose(func, args, kwargs)
            finally:
                self._decomposing -= 1
            if result is not NotImplemented:
                return result
        inputs: list[Tensor] = []
        tensors_in(args, inputs)
        if kwargs:
            tensors_in(list(kwargs.values()), inputs)
        if info.is_view and torch.is_inference_mode_enabled() and not inputs[0].is_inference():
            # A view of a parameter is an ordinary tensor, also under inference mode.
            with torch.inference_mode(False), torch._C._AutoDispatchBelowADInplaceOrView():
                result = self.execution.run(func, types, args, kwargs, inputs)
            if self._decomposing:
                _stay_parameter(inputs[0], result)
        else:
            result = self.execution.run(func, types, args, kwargs, inputs)
        if self.recording:
            self._record(func, info, args, kwargs, inputs, result)
        return result

    def _record(
        self,
        func: OpOverload,
        info: OpInfo,
        args: Any,
        kwargs: Any,
        inputs: list[Tensor],
        result: Any,
    ) -> None:
        rules = self.rules
        outputs: list[Tensor] = []
        tensors_in(result, outputs)
        if self.execution.has_host:
            inputs, outputs = self._on_device(inputs), self._on_device(outputs)
            if not inputs and not outputs:
                return  # work of the host
        recompute = self.in_backward and self._follow_recompute()
        flops = 0 if info.flops is None else info.flops(args, kwargs, result)
        if rules.asks_kernels:
            self.probes.note(func, args, kwargs, result, self.recorder.op_count, flops)
        workspace = rules.workspace(func, args, rules.device, self.in_backward)
        if workspace is not None:
            self.recorder.keep_workspace(*workspace)
        self.recorder.record(
            info,
            inputs,
            outputs,
            module=self.modules.current(),
            flops=flops,
            recompute=recompute,
            scratch_bytes=rules.scratch(func, args, kwargs, result, rules.device),
        )
        if self.in_backward and not recompute:
            if func is _ADD:
                self._accumulate(inputs)
            elif func in _PUT:
                self._put(inputs)

    def _on_device(self, tensors: list[Tensor]) -> list[Tensor]:
        return [tensor for tensor in tensors if self.execution.on_device(tensor)]

    def _accumulate(self, inputs: list[Tensor]) -> None:
        """The autograd engine adds a second gradient in place when nothing else holds the first.

        It never does so while a dispatch mode is active, so the fake step shows an out-of-place sum
        (torch/csrc/autograd/input_buffer.cpp: `accumulate`, `can_accumulate_inplace`). A view holds
        its base, hence its storage has a second holder.
        """
        old = inputs[0]
        if len(inputs) == 2 and not old._is_view() and is_non_overlapping_and_dense_or_false(old):
            self.recorder.may_reuse(old)

    def _put(self, inputs: list[Tensor]) -> None:
        """Autograd's own nodes put such a gradient into the zeros that they have just made.

        They make a second tensor only if one is like a subclass, as fake ones are (ATen/native
        and torch/csrc/autograd/FunctionsManual.cpp: `areAnyTensorSubclassLike` in
        `gather_backward`, `index_backward`, `index_select_backward`,
        `value_selecting_reduction_backward`).
        """
        node = torch._C._current_autograd_node()
        if not isinstance(node, torch.autograd.function.BackwardCFunction):
            self.recorder.may_reuse(inputs[0])

    def _follow_recompute(self) -> bool:
        """Backward runs without grad mode; only a checkpoint's recomputation turns it on.

        What a recomputation leaves alive was saved for the backward of its unit.
        """
        # Outside of any node it is `backward()` itself that makes the first gradient.
        enabled = torch.is_grad_enabled() and torch._C._current_autograd_node() is not None
        if enabled and self._recompute_from is None:
            self._recompute_from = len(self.recorder.storage_bytes)
        elif not enabled and self._recompute_from is not None:
            self.recorder.mark_survivors(self._recompute_from, Category.activations)
            self._recompute_from = None
        return enabled


def _stay_parameter(base: Tensor, view: Any) -> None:
    """Let a view of a parameter say that it requires a gradient, as in a real step under inference
    mode.

    `matmul` asks for that before it chooses between one product and a batch of them
    (ATen/native/LinearAlgebra.cpp: `should_fold`).
    """
    if base.requires_grad and isinstance(view, Tensor) and not view.requires_grad:
        view.requires_grad_()
