"""Making a plan: explore what may be done, solve, certify, and say it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from planner.apply.statistics import tracking_norms
from planner.cost import step_seconds
from planner.device_memory import capacity_bytes
from planner.devices import DeviceProfile
from planner.errors import HeadroomError, InvalidRequest
from planner.planning.infeasible import infeasible
from planner.planning.pool import Pool
from planner.planning.search import Certified, Search
from planner.planning.solving import Solving
from planner.planning.subject import Baseline, Subject
from planner.planning.variants import (
    Shape,
    Variant,
    explore_shape,
    lever_strategies,
    lever_variants,
)
from planner.planning.workshop import Factory, Workshop
from planner.plans import FrontierPoint, Overhead, Plan, SolverReport
from planner.predict import predict
from planner.prediction import Prediction
from planner.quantities import format_bytes
from planner.simulation import step_flops
from planner.strategy import Strategy
from planner.tape import Tape
from planner.trace import Tracer

OnProgress = Callable[[dict[str, Any]], None]

WORTH_SPLITTING = 0.02
"""Overhead above which smaller micro-batches are looked into."""

MAX_SPLITS = 6
"""Numbers of micro-batches looked into, each twice the one before."""


@dataclass
class Wishes:
    """What the search is asked for.

    Attributes:
        budget_bytes: what may be alive at any point of the step; of a CUDA device, the memory
            that it has, its driver's context and what the allocator cannot use included.
        patterns: module paths to choose for, or None.
        batch_size: of a step, to be split into micro-batches; 1 where it cannot be.
        shapes: other shapes of the workload to consider (attention, precision, ...).
        points: of the frontier; 0 for the plan alone.
    """

    budget_bytes: int
    allowed: frozenset[str]
    patterns: list[str] | None = None
    solver: str = "milp"
    points: int = 8
    batch_size: int = 1
    shapes: list[Strategy] = field(default_factory=list)
    helpers: int | None = None


def find_plan(
    factory: Factory, device: DeviceProfile, wishes: Wishes, progress: OnProgress
) -> tuple[Plan, Tape]:
    """The plan for a job, and the tape of its certified step (of the smallest one that was found,
    where nothing fits).

    Raises:
        HeadroomError: the model cannot be built or its plain step fails.
    """
    if device.kind == "cuda":  # simulated with the budget's memory, whatever it has itself
        device = device.model_copy(update={"memory_bytes": wishes.budget_bytes})
    workshop = Workshop(Tracer(device), factory)
    with Pool(workshop, wishes.helpers) as pool, workshop.tracer.active():
        return _Planning(pool, device, wishes, progress).plan()


class _Planning:
    def __init__(
        self, pool: Pool, device: DeviceProfile, wishes: Wishes, progress: OnProgress
    ) -> None:
        self._pool = pool
        self._device = device
        self._wishes = wishes
        self._progress = progress
        solving = Solving(wishes.solver, "segments" in wishes.allowed)
        self._search = Search(pool, device, solving)
        self._limitations: list[str] = []
        self._room_bytes = wishes.budget_bytes
        if device.kind == "cuda":
            self._room_bytes = capacity_bytes(device, most_context=True) or 0

    def plan(self) -> tuple[Plan, Tape]:
        self._say("baseline")
        started = time.perf_counter()
        subject = self._pool.workshop.subject(Strategy())
        self._check_budget(subject)
        baseline = subject.baseline()
        self._pool.workshop.traces += 1
        self._search.simulate_seconds += time.perf_counter() - started
        self._plain = self._certified_plain(baseline.tape)
        fits = self._plain.peak_bytes <= self._room_bytes and self._plain.is_served
        if not (fits and self._wishes.points == 0):
            self._explore(subject, baseline)
        self._say("solve")
        if self._wishes.points:
            self._search.certify_ends(self._room_bytes)
        chosen = self._search.fit(self._room_bytes)
        chosen = self._split_further(subject, chosen)
        if chosen is None or self._wishes.points:
            self._say("frontier")
            self._search.smallest()
        if self._wishes.points:
            self._search.spread(self._wishes.points, self._show)
        self._say("confirm")
        return self._answer(*self._search.confirmed(self._room_bytes))

    def _check_budget(self, subject: Subject) -> None:
        """No strategy changes the parameters, so less than they take is a slip."""
        held = sum(parameter.nbytes for parameter in subject.job.model.parameters())
        if self._wishes.budget_bytes < held and "precision" not in self._wishes.allowed:
            raise InvalidRequest.at(
                "/budget/memory",
                f"{self._wishes.budget_bytes} bytes are less than the parameters alone: "
                f"{held} bytes ({format_bytes(held)})",
                "give the memory of the whole device, or leave it out",
            )

    def _certified_plain(self, tape: Tape) -> Certified:
        seconds = step_seconds(tape, self._device)
        peak = int(tape.live_bytes.max())
        plain = Certified(Strategy(), tape, peak, seconds, seconds, step_flops(tape), whole=True)
        self._search.add(plain)
        return plain

    # ------------------------------------------------------------------ exploring

    def _explore(self, subject: Subject, baseline: Baseline) -> None:
        self._say("units")
        shape = self._shape(subject, baseline, self._wishes.patterns)
        self._add(shape.variant(Strategy(), baseline.tape))
        levers = lever_strategies(Strategy(), subject, self._wishes.allowed)
        self._say("levers")
        for variant in lever_variants(self._pool, shape, levers):
            self._add(variant)
        for other in self._wishes.shapes:
            self._explore_shape(other)

    def _explore_shape(self, strategy: Strategy) -> Shape | None:
        """Add the variants of another shape; None where the model does not admit it."""
        try:
            subject = self._pool.workshop.subject(strategy, preview=True)
            baseline = subject.baseline()
        except HeadroomError as error:
            self._limitations.append(f"Not considered: {error.detail}")
            return None
        self._pool.workshop.traces += 1
        shape = self._shape(subject, baseline, self._wishes.patterns)
        self._add(shape.variant(strategy, baseline.tape))
        levers = lever_strategies(strategy, subject, self._wishes.allowed)
        for variant in lever_variants(self._pool, shape, levers[-1:]):
            self._add(variant)
        return shape

    def _shape(self, subject: Subject, baseline: Baseline, patterns: list[str] | None) -> Shape:
        started = time.perf_counter()
        shape = explore_shape(
            subject, baseline, subject.micro_batches, patterns, self._wishes.allowed
        )
        self._search.simulate_seconds += time.perf_counter() - started
        self._limitations += [p for p in shape.problems if p not in self._limitations]
        return shape

    def _add(self, variant: Variant) -> None:
        variant.credit_seconds = max(0.0, self._plain.step_seconds - variant.seconds)
        variant.seconds += variant.credit_seconds
        self._search.variants.append(variant)

    def _split_further(self, subject: Subject, chosen: Certified | None) -> Certified | None:
        """Look into micro-batches, while that could be cheaper or is the only way to fit."""
        if not self._may_split(subject):
            return chosen
        parts = 2
        for _ in range(MAX_SPLITS):
            limit = self._plain.step_seconds * (1 + WORTH_SPLITTING)
            dear = chosen is None or chosen.cost_seconds > limit
            if not dear or self._wishes.batch_size % parts:
                break
            self._say(f"{parts} micro-batches")
            if self._explore_shape(Strategy(micro_batches=parts)) is None:
                break
            chosen = self._search.fit(self._room_bytes)
            parts *= 2
        return chosen

    def _may_split(self, subject: Subject) -> bool:
        if "micro_batching" not in self._wishes.allowed or self._wishes.batch_size < 2:
            return False
        if tracking_norms([subject.job.model]):
            self._limitations.append(
                "Micro-batches are left out: batch norms would see fewer samples at a time."
            )
            return False
        return True

    # ------------------------------------------------------------------ saying

    def _say(self, phase: str) -> None:
        self._progress({"phase": phase, "frontier": self._points()})

    def _show(self) -> None:
        self._say(f"{len(self._search.frontier())} points")

    def _points(self) -> list[dict[str, Any]]:
        return [
            {"peak_bytes": each.peak_bytes, **self._overhead(each).model_dump()}
            for each in self._search.frontier()
        ]

    def _overhead(self, certified: Certified) -> Overhead:
        plain = self._plain
        return Overhead(
            recompute_flops_ratio=_ratio(certified.step_flops, plain.step_flops),
            step_seconds_ratio=_ratio(certified.cost_seconds, plain.cost_seconds),
        )

    def _answer(self, shown: Certified, fits: bool) -> tuple[Plan, Tape]:
        chosen = shown if fits else None
        prediction = self._prediction(shown)
        context_bytes = self._wishes.budget_bytes - self._room_bytes
        least_bytes = shown.needed_bytes + context_bytes
        frontier = self._search.frontier() if self._wishes.points else []
        plan = Plan(
            feasible=chosen is not None,
            budget_bytes=self._wishes.budget_bytes,
            strategy=chosen.strategy if chosen else None,
            prediction=prediction if chosen else None,
            baseline=self._prediction(self._plain),
            overhead=self._overhead(chosen) if chosen else None,
            frontier=[
                FrontierPoint(
                    peak_bytes=each.peak_bytes,
                    overhead=self._overhead(each),
                    strategy=each.strategy,
                )
                for each in frontier
            ],
            infeasible=(
                None
                if chosen
                else infeasible(
                    shown.strategy,
                    prediction,
                    least_bytes,
                    least_bytes - self._wishes.budget_bytes,
                    self._wishes.allowed,
                )
            ),
            solver=self._report(shown),
            limitations=[*self._limitations, *prediction.limitations],
        )
        return plan, shown.tape

    def _prediction(self, certified: Certified) -> Prediction:
        return predict(certified.tape, self._device)

    def _report(self, shown: Certified) -> SolverReport:
        solution = shown.candidate.solution if shown.candidate else None
        return SolverReport(
            name=solution.solver if solution else "none needed",
            solve_seconds=self._search.solving.seconds,
            simulate_seconds=self._search.simulate_seconds,
            simulations=self._pool.workshop.traces,
            optimality_gap=solution.gap if solution else 0.0,
            estimate_error=shown.peak_bytes / solution.peak_bytes - 1 if solution else 0.0,
        )


def _ratio(value: float, base: float) -> float:
    return value / base if base else 1.0
