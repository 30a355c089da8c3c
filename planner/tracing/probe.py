"""Asking a kernel how much scratch it takes, by running it alone on real memory of the same layout.

oneDNN chooses algorithm, blocked layouts and packing buffers for a shape, an instruction set and a
number of threads, and tells nobody; the tape's shapes are known, so the kernel is run once with
them on this host. Only calls whose scratch could raise a phase's peak are asked, within a budget;
what was not asked is returned, so that the answer can say so.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.autograd.profiler import record_function

from planner.allocations import peaks_inside, record_allocations
from planner.tape import Tape
from planner.tracing.kernel_bounds import bound_bytes
from planner.tracing.kernel_calls import KernelCall, freeze, thaw
from planner.tracing.opinfo import tensors_in

aten = torch.ops.aten

SECONDS = 15.0  # for all probes of a trace
CALL_BYTES = 1 << 29  # operands, scratch and outputs of one probe
CALL_FLOPS = 8 * 10**9


@dataclass
class Probes:
    """The calls of a trace whose kernels have to be asked, and the ops that make them."""

    ops: dict[KernelCall, list[int]] = field(default_factory=dict)

    def note(
        self, func: OpOverload, args: Any, kwargs: Any, result: Any, op: int, flops: int
    ) -> None:
        """Remember that op number `op` of the tape makes this call."""
        if func not in _ASKED and not (func in _REDUCED and _is_reduced(args)):
            return
        output_bytes = sum(tensor.nbytes for tensor in _tensors(result))
        keywords = freeze(tuple(kwargs.items()))
        grad_mode = func in _ASK_GRAD_MODE and torch.is_grad_enabled()
        call = KernelCall(func, freeze(args), keywords, flops, output_bytes, grad_mode)
        self.ops.setdefault(call, []).append(op)


# Kernels with scratch of their own choosing.
_ASKED = frozenset(
    {
        aten.convolution.default,
        aten.convolution_backward.default,
        aten._scaled_dot_product_flash_attention_for_cpu.default,
        aten._scaled_dot_product_flash_attention_for_cpu_backward.default,
        aten.native_batch_norm.default,
        aten.native_batch_norm_backward.default,
        aten.native_group_norm.default,
        aten.native_group_norm_backward.default,
        aten.native_layer_norm_backward.default,
        aten._safe_softmax.default,
        aten._grouped_mm.default,
        aten.native_layer_norm.default,
        aten.gelu_backward.default,
        aten._trilinear.default,
        aten.im2col.default,
        aten.mkldnn_rnn_layer.default,
        aten.mkldnn_rnn_layer_backward.default,
        aten._native_multi_head_attention.default,
        aten._transformer_encoder_layer_fwd.default,
        *(
            getattr(aten, f"upsample_{kind}{suffix}").default
            for kind in ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d")
            for suffix in ("", "_backward")
        ),
        # Sorts the indices it is given (ATen/native/EmbeddingBag.cpp: `_embedding_bag_backward`).
        aten._embedding_bag_backward.default,
        aten._embedding_bag_per_sample_weights_backward.default,
    }
)
# It keeps a workspace for backward, if there may be one (ATen/native/mkldnn/RNN.cpp).
_ASK_GRAD_MODE = frozenset({aten.mkldnn_rnn_layer.default})
# Products go to oneDNN in bf16 and fp16 (ATen/native/mkldnn/Matmul.cpp: `use_mkldnn_matmul`), and
# to BLAS in fp32, which takes nothing from torch's allocator.
# Means over some dimensions are taken of a copy in fp32 (ATen/native/ReduceOps.cpp: `mean_out`).
_REDUCED = frozenset(
    {aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default} | {aten.mean.dim}
)


def _is_reduced(args: Any) -> bool:
    return any(isinstance(a, Tensor) and a.dtype in (torch.bfloat16, torch.float16) for a in args)


def with_probed_scratch(
    tape: Tape,
    probes: Probes,
    seconds: float = SECONDS,
    known: dict[KernelCall, int] | None = None,
) -> Tape:
    """The tape with the scratch of the kernels that could raise a phase's peak, as far as the
    budget allows.

    What could not be asked is said in `meta["limitations"]`. `known` has answers of earlier traces
    and takes in those of this one.
    """
    known = {} if known is None else known
    survey = _Survey(tape, probes)
    survey.learn({call: size for call, size in known.items() if call in probes.ops})
    deadline = time.monotonic() + seconds
    # The calls at the highest levels first: knowing theirs, most others cannot matter any more.
    for count in (_FIRST_ROUND, len(probes.ops)):
        affordable = [call for call in survey.relevant() if _affordable(call)][:count]
        survey.learn(ask(affordable, deadline))
    known |= survey.scratch
    pairs = scratch_of_ops(probes, survey.scratch)
    limitations = tape.meta["limitations"] + _unasked(survey)
    return replace(tape.with_scratch(pairs), meta=tape.meta | {"limitations": limitations})


def scratch_of_ops(probes: Probes, known: dict[KernelCall, int]) -> list[tuple[int, int]]:
    """Pairs of op and scratch bytes, of the calls whose scratch is known."""
    return [
        (op, size) for call, ops in probes.ops.items() if (size := known.get(call, 0)) for op in ops
    ]


_FIRST_ROUND = 12


class _Survey:
    """Which calls can still raise the peak of a phase in which they occur."""

    def __init__(self, tape: Tape, probes: Probes) -> None:
        ends = np.append(tape.op_event[1:], len(tape.events))
        last = np.maximum(ends - 1, 0)
        self.live = np.maximum(
            tape.live_bytes[np.maximum(tape.op_event - 1, 0)], tape.live_bytes[last]
        )
        self.ops = {call: np.array(ops) for call, ops in probes.ops.items()}
        self.phase = tape.op_phase
        self.peak = np.zeros(len(tape.phases), dtype=np.int64)
        np.maximum.at(self.peak, tape.op_phase, self.live)
        self.scratch: dict[KernelCall, int] = {}

    def relevant(self) -> list[KernelCall]:
        """Unasked calls that could raise a peak, those at the highest level first."""
        found = [call for call in self.ops if call not in self.scratch and self.rise(call) > 0]
        return sorted(found, key=lambda call: -int(self.live[self.ops[call]].max()))

    def rise(self, call: KernelCall) -> int:
        """By how much the call could raise a phase's peak, at most."""
        ops = self.ops[call]
        return int((self.live[ops] + bound_bytes(call) - self.peak[self.phase[ops]]).max())

    def rise_of_workload(self, call: KernelCall) -> int:
        """By how much the call could raise the peak over all phases, at most; else not positive."""
        return int(self.live[self.ops[call]].max()) + bound_bytes(call) - int(self.peak.max())

    def learn(self, scratch: dict[KernelCall, int]) -> None:
        """Take answers in."""
        self.scratch |= scratch
        for call, size in scratch.items():
            ops = self.ops[call]
            np.maximum.at(self.peak, self.phase[ops], self.live[ops] + size)


def ask(calls: list[KernelCall], deadline: float = float("inf")) -> dict[KernelCall, int]:
    """Bytes of scratch of each call, found by running it.

    Left out are calls after the deadline, and those whose kernel refuses zeros.
    """
    if not calls:
        return {}
    outputs: dict[str, tuple[KernelCall, int]] = {}
    with torch.no_grad(), record_allocations(collect=False) as recorded:
        for index, call in enumerate(calls):
            if time.monotonic() > deadline:
                break
            with contextlib.suppress(RuntimeError):
                outputs[f"call{index}"] = (call, _run(call, f"call{index}"))
    peaks = peaks_inside(recorded)
    return {call: max(0, peaks[name] - size) for name, (call, size) in outputs.items()}


def _run(call: KernelCall, mark: str) -> int:
    arguments, keywords = thaw(call.arguments), dict(thaw(call.keywords))
    with torch.set_grad_enabled(call.grad_mode), record_function(mark):
        result = call.func(*arguments, **keywords)
    return _new_bytes(result, arguments)


def _new_bytes(result: Any, arguments: Any) -> int:
    known = {tensor.untyped_storage()._cdata for tensor in _tensors(arguments)}
    storages = {
        storage._cdata: storage.nbytes()
        for tensor in _tensors(result)
        if (storage := tensor.untyped_storage())._cdata not in known
    }
    return sum(storages.values())


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    tensors_in(value, found)
    return found


def _unasked(survey: _Survey) -> list[str]:
    calls = survey.relevant()
    if not calls:
        return []
    phase = max(survey.rise(call) for call in calls)
    whole = max(survey.rise_of_workload(call) for call in calls)
    effect = (
        f"the peak by at most {whole}" if whole > 0 else "no peak but that of a phase, by at most"
    )
    amount = "" if whole > 0 else f" {phase}"
    return [
        f"The scratch of {len(calls)} kernel calls that could not be tried out is not included; "
        f"it can raise {effect}{amount} bytes."
    ]


def _affordable(call: KernelCall) -> bool:
    return bound_bytes(call) + call.output_bytes <= CALL_BYTES and call.flops <= CALL_FLOPS
