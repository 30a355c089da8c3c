"""Names of the engine's queues. A worker listens to one queue of runs, made of its labels."""

from __future__ import annotations

SIMULATIONS = "simulations"
PLANS = "plans"
"""A queue of its own, so that no short simulation waits for a long plan."""
DESIGN_SEARCHES = "design-searches"
"""Likewise: a search simulates by itself, one design after the other."""
ANSWERING = (SIMULATIONS, PLANS, DESIGN_SEARCHES)
"""What a worker that simulates listens to besides its runs."""


def run_queue(labels: dict[str, str]) -> str:
    """The queue of runs for workers with exactly these labels.

    One queue a worker: the engine counts concurrency per queue, so a worker on two of them would
    measure two runs at once on one device.
    """
    return "runs:" + ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def matches(labels: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether a worker with these labels may take a job that wants those."""
    return all(labels.get(name) == value for name, value in wanted.items())
