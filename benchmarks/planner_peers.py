"""What the planner is compared with, applied to real modules and measured on this machine's CPU.

A measurement runs in a process of its own, on a step whose gradients are compared with those of an
untouched copy of the model. Two peaks of live bytes are taken from the allocator's own reports:

* `peak_bytes`: above parameters, gradients and inputs. The gradients exist, zeroed, when the step
  begins, so that everything that the recording counts is neither. The published figures are these.
* `freed_bytes`: the same step after `zero_grad(set_to_none=True)`, above parameters and inputs: the
  gradients count from when backward makes them.
"""

from __future__ import annotations

import copy
import functools
import multiprocessing
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch.utils import checkpoint as torch_checkpoint
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
    shape_wrapper,
)

from benchmarks.planner_models import Attention, Case, Inputs, make
from planner.allocations import record_allocations

Loss = Callable[..., Tensor]
Apply = Callable[[nn.Module, Case, Inputs], Loss]
CheckpointPolicy = torch_checkpoint.CheckpointPolicy
THREADS = 2
TIMED = 3


@dataclass(frozen=True)
class Measurement:
    """One method, applied to one model.

    Attributes:
        flops: of matmuls and convolutions in forward and backward; `eager_flops`: of eager mode.
        seconds_ratio: median time of a step over the copy's, steps of both in turn.
        prepare_seconds: from the call of the method to the end of its first step.
        certified_bytes: what our planner promised, on the scale of `peak_bytes`.
        difference: largest difference of a gradient from the copy's, over the largest gradient.
    """

    peak_bytes: int
    freed_bytes: int
    flops: int
    eager_flops: int
    seconds: float
    seconds_ratio: float
    prepare_seconds: float
    difference: float
    solve_seconds: float | None = None
    certified_bytes: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Peer:
    """A method with its settings.

    Attributes:
        budget: what it was asked for, in words.
    """

    method: str
    budget: str
    apply: Apply
    seconds_limit: float = 600.0


def measure(name: str, apply: Apply) -> Measurement:
    """Carry the method out on the named model and measure it; call this in a fresh process."""
    torch.set_num_threads(THREADS)
    case, model, inputs = make(name)
    twin = copy.deepcopy(model)
    eager_flops = _flops(twin, inputs)
    start = time.perf_counter()
    loss = apply(model, case, inputs)
    about = dict(getattr(loss, "about", {}))
    loss(**inputs).backward()
    prepare_seconds = time.perf_counter() - start
    flops = _flops(loss, inputs)
    _zero(model)
    peak_bytes = _peak(loss, inputs)
    difference = _difference(model, twin)
    model.zero_grad(set_to_none=True)
    freed_bytes = _peak(loss, inputs)
    ours, theirs = [], []
    for _ in range(TIMED):
        theirs.append(_seconds(twin, inputs))
        ours.append(_seconds(loss, inputs))
    return Measurement(
        peak_bytes, freed_bytes, flops, eager_flops,
        seconds=statistics.median(ours),
        seconds_ratio=statistics.median(ours) / statistics.median(theirs),
        prepare_seconds=prepare_seconds,
        difference=difference,
        **about,
    )  # fmt: skip


def _flops(loss: Loss, inputs: Inputs) -> int:
    """By `FlopCounterMode`; of a compiled step by its graphs, see `_GraphFlops`."""
    counted = getattr(loss, "flops", None)
    if counted is not None:
        return int(counted())
    with FlopCounterMode(display=False, custom_mapping=_UNCOUNTED) as counter:
        loss(**inputs).backward()
    return int(counter.get_total_flops())


class _GraphFlops(CustomGraphPass):
    """Sums FLOPs of the graphs that inductor generates code for, by torch's own formulas.

    Dynamo skips every frame under a dispatch mode ("non-infra torch dispatch mode present"), so
    `FlopCounterMode` around a compiled step would count eager mode instead, whatever the budget.
    """

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, graph: torch.fx.Graph) -> None:
        for node in graph.nodes:
            packet = getattr(node.target, "_overloadpacket", None)
            formula = FORMULAS.get(packet)
            if node.op == "call_function" and formula is not None:
                args, options = torch.fx.map_arg((node.args, node.kwargs), _value)
                self.total += int(formula(*args, **options, out_val=_value(node)))

    def uuid(self) -> None:
        return None


def _value(node: torch.fx.Node) -> Any:
    return node.meta["val"]


def _attention_forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))


# torch knows no formula of the CPU's fused attention, so would count it as nothing.
_UNCOUNTED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_forward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
FORMULAS = {**flop_registry, **{op: shape_wrapper(count) for op, count in _UNCOUNTED.items()}}


def _zero(model: nn.Module) -> None:
    model.zero_grad(set_to_none=False)


def _peak(loss: Loss, inputs: Inputs) -> int:
    with record_allocations() as recorded:
        loss(**inputs).backward()
    return max(int(recorded.live_bytes().max()), 0)


def _seconds(loss: Loss, inputs: Inputs) -> float:
    start = time.perf_counter()
    loss(**inputs).backward()
    return time.perf_counter() - start


def _difference(model: nn.Module, twin: nn.Module) -> float:
    """0.0 where every gradient has the very bits of the copy's."""
    furthest = largest = 0.0
    for (name, one), (_, other) in zip(
        model.named_parameters(), twin.named_parameters(), strict=True
    ):
        if one.grad is None or other.grad is None:
            raise ValueError(f"{name} has no gradient")
        furthest = max(furthest, float((one.grad - other.grad).abs().max()))
        largest = max(largest, float(other.grad.abs().max()))
    return furthest / largest


def in_child(name: str, peer: Peer) -> Measurement | str:
    """The measurement, made in a forked child, or what went wrong in a line."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(name, peer.apply, sender))
    child.start()
    sender.close()
    answer: Measurement | str
    try:
        within = receiver.poll(peer.seconds_limit)
        answer = receiver.recv() if within else f"no answer in {peer.seconds_limit:.0f} s"
    except EOFError:
        answer = "the process died"
    child.kill()
    child.join()
    return answer


def _report(name: str, apply: Apply, sender: Any) -> None:
    try:
        sender.send(measure(name, apply))
    except BaseException as error:
        sender.send(traceback.format_exception_only(error)[-1].strip().splitlines()[0][:200])


# The methods


def eager(model: nn.Module, case: Case, inputs: Inputs) -> Loss:
    return model


def fused_attention(model: nn.Module, case: Case, inputs: Inputs) -> Loss:
    """Eager mode with torch's fused attention in place of the one written out."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.fused = True
    return model


def fused_and_first(count: int) -> Apply:
    """Fused attention, and the first units recomputed."""

    def apply(model: nn.Module, case: Case, inputs: Inputs) -> Loss:
        fused_attention(model, case, inputs)
        return checkpoint_first(count)(model, case, inputs)

    return apply


def checkpoint_first(count: int) -> Apply:
    """Recompute the first units whole; those that follow keep everything."""

    def apply(model: nn.Module, case: Case, inputs: Inputs) -> Loss:
        for path in case.units[:count]:
            recompute(model.get_submodule(path))
        return model

    return apply


def selective(saved: tuple[Any, ...]) -> Apply:
    """Recompute every unit but the outputs of these ops."""

    def policy(context: Any, op: Any, *args: Any, **options: Any) -> CheckpointPolicy:
        return CheckpointPolicy.MUST_SAVE if op in saved else CheckpointPolicy.PREFER_RECOMPUTE

    def apply(model: nn.Module, case: Case, inputs: Inputs) -> Loss:
        for path in case.units:
            recompute(model.get_submodule(path), lambda: policy)
        return model

    return apply


class Step:
    """A step, and what its method adds to the measurement.

    Attributes:
        about: values for fields of `Measurement`.
        flops: counts them where a dispatch mode cannot.
    """

    def __init__(
        self, loss: Loss, about: dict[str, Any], flops: Callable[[], int] | None = None
    ) -> None:
        self._loss = loss
        self.about = about
        self.flops = flops

    def __call__(self, **inputs: Tensor) -> Tensor:
        """The loss."""
        return self._loss(**inputs)


def recompute(module: nn.Module, make_policy: Callable[[], Any] | None = None) -> None:
    """Wrap the module's forward in torch's checkpoint, with a policy made anew for each call."""
    options: dict[str, Any] = {}
    if make_policy is not None:
        contexts = torch_checkpoint.create_selective_checkpoint_contexts
        options["context_fn"] = lambda: contexts(make_policy())
    module.forward = functools.partial(  # type: ignore[method-assign]
        torch_checkpoint.checkpoint, module.forward, use_reentrant=False, **options
    )


def compiled(budget: float, backend: str = "inductor") -> Apply:
    """`torch.compile` under torch's own budget for saved bytes."""

    def apply(model: nn.Module, case: Case, inputs: Inputs) -> Loss:
        import torch._functorch.config
        import torch._inductor.config

        counter = _GraphFlops()
        torch._inductor.config.post_grad_custom_post_pass = counter
        torch._functorch.config.activation_memory_budget = budget
        torch._inductor.config.compile_threads = 1  # no pool of workers to outlive this process
        torch._inductor.config.force_disable_caches = True
        loss = torch.compile(model, backend=backend, fullgraph=True)
        return Step(loss, {}, lambda: counter.total)

    return apply


_aten = torch.ops.aten
_PRODUCTS = (_aten.mm.default, _aten.bmm.default, _aten.addmm.default)
_LINEAR = (_aten.mm.default, _aten.addmm.default)
BUDGETS = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, 0.0)


def peers(name: str, case: Case, backend: str = "inductor") -> list[Peer]:
    """Everything that is measured of a model, eager first."""
    count = len(case.units)
    listed = [Peer("eager", "", eager)]
    listed += [
        Peer("checkpoint, first k", f"k = {k} of {count}", checkpoint_first(k))
        for k in _some(count)
    ]
    if name == "unet":
        listed.append(
            Peer("selective", "save convolution", selective((_aten.convolution.default,)))
        )
    else:
        listed.append(Peer("selective", "save mm, bmm, addmm", selective(_PRODUCTS)))
        listed.append(Peer("selective", "save mm, addmm", selective(_LINEAR)))
        listed.append(Peer("fused attention", "", fused_attention))
        listed += [
            Peer("fused attention, first k", f"k = {k} of {count}", fused_and_first(k))
            for k in _some(count)
        ]
    listed += [
        Peer(f"torch.compile ({backend})", f"budget {budget:g}", compiled(budget, backend))
        for budget in BUDGETS
    ]
    return listed


def _some(count: int) -> list[int]:
    """Every second k from 2, and the last two; every k of a few."""
    if count <= 9:
        return list(range(1, count + 1))
    step = 2 if count <= 12 else 4
    return sorted({*range(step, count, step), count - 1, count})
