"""What to say where nothing fits: the least budget, what holds the memory, what would help."""

from __future__ import annotations

from planner.plans import DEFAULT_ALLOW, Infeasible
from planner.prediction import Prediction
from planner.quantities import format_bytes
from planner.strategy import Strategy

HOLDERS = 5
"""Tensors that are named."""


def infeasible(
    strategy: Strategy,
    prediction: Prediction,
    least_bytes: int,
    short_bytes: int,
    allowed: frozenset[str],
) -> Infeasible:
    """The part of an answer for a budget that nothing fits.

    Args:
        strategy: of the least memory found; `prediction`: of its step.
        least_bytes: the budget that it needs; `short_bytes`: how much more than was given.
        allowed: techniques that the search could use.
    """
    return Infeasible(
        smallest_budget_bytes=least_bytes,
        smallest_strategy=strategy,
        phase=prediction.peak_phase,
        held_by=[
            f"{holder.name}: {format_bytes(holder.bytes)} ({holder.category})"
            for holder in prediction.largest_at_peak[:HOLDERS]
        ],
        remedies=[
            f"a budget of {format_bytes(least_bytes)} ({least_bytes} bytes), "
            f"{format_bytes(short_bytes)} more",
            *_techniques(prediction, allowed),
            *_less_work(prediction, short_bytes),
        ],
    )


def _techniques(prediction: Prediction, allowed: frozenset[str]) -> list[str]:
    state = prediction.at_peak.optimizer_state
    remedies = []
    if state and "optimizer_states" not in allowed:
        remedies.append(f"allow optimizer_states: the optimizer holds {format_bytes(state)}")
    if "precision" not in allowed:
        remedies.append("allow precision: 16 bits instead of 32 halve most of it")
    unused = sorted(set(DEFAULT_ALLOW) - allowed - {"offload"})
    if unused:
        remedies.append(f"allow {', '.join(unused)}")
    return remedies


def _less_work(prediction: Prediction, short_bytes: int) -> list[str]:
    at_peak = prediction.at_peak
    remedies = []
    moving = at_peak.activations + at_peak.temporaries + at_peak.inputs
    if moving > short_bytes:
        remedies.append(
            f"a smaller batch or shorter sequences: {format_bytes(moving)} of the peak grow with "
            "them"
        )
    trained = at_peak.gradients + at_peak.optimizer_state
    if trained:
        remedies.append(
            "train fewer parameters (freeze, or low-rank adapters): gradients and optimizer states "
            f"hold {format_bytes(trained)}"
        )
    return remedies
