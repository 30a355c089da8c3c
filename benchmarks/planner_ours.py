"""Our planner as one of the benchmark's methods: plan for a budget, apply the strategy."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor, nn

from benchmarks.planner_models import Case, Inputs
from benchmarks.planner_peers import Loss, Peer, Step, fused_attention
from planner.apply import apply_strategy
from planner.planning.module import plan_module

OURS = "headroom"
FUSED = "headroom, fused attention"
ALLOW = ("checkpointing", "selective", "segments")
_MIB = 2**20

# The published figures of the 12-layer GPT, MiB; elsewhere shares of eager mode's peak.
_PUBLISHED = (447, 403, 371, 295, 283, 264, 247, 219, 143, 105, 73, 69, 65, 59, 53)
_SHARES = (0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12)


def ours(model: str, case: Case, eager_bytes: int | None) -> list[Peer]:
    """Plans for budgets between eager mode's peak and the least."""
    if eager_bytes is None:
        return []
    budgets = (
        [mib * _MIB + _MIB // 2 for mib in _PUBLISHED]
        if model == "gpt12"
        else [int(share * eager_bytes) for share in _SHARES]
    )
    # Building a model here would start threads, which the measuring children could not use.
    has_attention = model != "unet"
    methods = [(OURS, False), (FUSED, True)] if has_attention else [(OURS, False)]
    return [
        Peer(method, f"{budget / _MIB:.1f} MiB", functools.partial(_apply, budget, fused))
        for method, fused in methods
        for budget in budgets
    ]


def _apply(budget: int, fused: bool, model: nn.Module, case: Case, inputs: Inputs) -> Loss:
    """Plan with the gradients alive when the step begins, as the benchmark measures it."""

    def build() -> tuple[nn.Module, dict[str, Any]]:
        planned = case.build()
        if fused:
            fused_attention(planned, case, inputs)
        return planned, case.inputs()

    held = _held(model, inputs)
    plan = plan_module(build, budget + held, gradient_accumulation_steps=2, allow=ALLOW)
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
