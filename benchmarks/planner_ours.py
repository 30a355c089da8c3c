"""Our planner as one of the benchmark's methods: plan for a budget, apply the strategy."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor, nn

from benchmarks.planner_models import Case, Inputs
from benchmarks.planner_peers import Loss, Peer, Step, fused_attention
from planner.apply import apply_strategy
from planner.devices import BUILTIN, DeviceProfile
from planner.planning.module import plan_module

OURS = "headroom"
BY_FLOPS = "headroom, least FLOPs"
FUSED = "headroom, least FLOPs, fused attention"
ALLOW = ("checkpointing", "selective", "segments")
_MIB = 2**20

# The published figures of the 12-layer GPT and of compiled steps, MiB; elsewhere shares of eager
# mode's peak.
_PUBLISHED = {
    OURS: (371, 264, 143, 73),
    BY_FLOPS: (447, 403, 371, 295, 283, 264, 247, 219, 143, 105, 73, 59, 53),
    FUSED: (428, 264, 247, 228, 187, 127, 97, 67),
}
_SHARES = {
    OURS: (0.75, 0.5, 0.25),
    BY_FLOPS: (0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15),
    FUSED: (0.75, 0.5, 0.25),
}


def ours(model: str, case: Case, eager_bytes: int | None) -> list[Peer]:
    """Plans for budgets between eager mode's peak and the least.

    By default a plan minimises time; with a device whose memory is as good as infinitely fast only
    arithmetic takes time, so the plan minimises FLOPs, which is what the tables compare.
    """
    if eager_bytes is None:
        return []
    found = []
    for method in (OURS, BY_FLOPS, FUSED):
        # Building a model to look for attention would start threads, which forked children could
        # not use.
        if method == FUSED and model == "unet":
            continue
        budgets = (
            [mib * _MIB + _MIB // 2 for mib in _PUBLISHED[method]]
            if model == "gpt12"
            else [int(share * eager_bytes) for share in _SHARES[method]]
        )
        for budget in budgets:
            apply = functools.partial(_apply, budget, method)
            found.append(Peer(method, f"{budget / _MIB:.1f} MiB", apply))
    return found


def _device(method: str) -> DeviceProfile:
    cpu = BUILTIN["cpu"]
    if method == OURS:
        return cpu
    fast = {"memory_bandwidth_bytes_per_s": 1e15, "op_overhead_s": 1e-9}
    return cpu.model_copy(update=fast)


def _apply(budget: int, method: str, model: nn.Module, case: Case, inputs: Inputs) -> Loss:
    """Plan with the gradients alive when the step begins, as the benchmark measures it."""

    fused = method == FUSED

    def build() -> tuple[nn.Module, dict[str, Any]]:
        planned = case.build()
        if fused:
            fused_attention(planned, case, inputs)
        return planned, case.inputs()

    held = _held(model, inputs)
    plan = plan_module(
        build,
        budget + held,
        gradient_accumulation_steps=2,
        allow=ALLOW,
        device=_device(method),
    )
    if plan.strategy is None or plan.prediction is None:
        assert plan.infeasible is not None
        least = (plan.infeasible.smallest_budget_bytes - held) / _MIB
        raise ValueError(f"nothing fits; the least is {least:.1f} MiB")
    if fused:
        fused_attention(model, case, inputs)
    apply_strategy(model, plan.strategy)
    about = {
        "certified_bytes": plan.prediction.peak_bytes - held,
        "solve_seconds": plan.solver.solve_seconds,
        "note": f"{plan.solver.simulations} simulations, {plan.solver.simulate_seconds:.1f} s",
    }
    return Step(model, about)


def _held(model: nn.Module, inputs: Inputs) -> int:
    """What the benchmark's peak is above: parameters, gradients, buffers and inputs."""
    tensors: list[Tensor] = [*model.buffers(), *inputs.values()]
    return sum(2 * p.nbytes for p in model.parameters()) + sum(t.nbytes for t in tensors)
