"""The cheapest strategy within a budget: solve over all variants, certify, learn, solve again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from planner.cost import step_seconds
from planner.devices import DeviceProfile
from planner.errors import HeadroomError
from planner.planning.compose import everything_recomputed, learn, unit_choices
from planner.planning.pool import Pool, Task
from planner.planning.solving import Solving
from planner.planning.variants import Variant
from planner.planning.windows import read_windows
from planner.simulation import step_flops
from planner.solve.problem import Solution, peak_bytes
from planner.solve.problem import seconds as added_seconds
from planner.strategy import Strategy
from planner.tape import Tape

ATTEMPTS = 12
"""Certificates that miss their budget before the search gives the budget up."""


NO_CHEAPER = 1 - 1e-6
"""A candidate must promise to be cheaper than the best known by more than rounding."""

PRECISE = 0.002
"""An estimate this much too high, relative, is not worth learning from."""

FRAGMENTED = 0.02
"""How much lower to aim, relative, where the allocator cannot serve a step that would fit."""

SPREADS = 6
"""Rounds of filling the frontier: proposals for different budgets can be the same."""


@dataclass(frozen=True)
class Candidate:
    """What the solver proposes: nothing in it is certified.

    Attributes:
        seconds: estimated time of the step.
    """

    variant: Variant
    solution: Solution
    strategy: Strategy
    seconds: float


@dataclass(frozen=True)
class Certified:
    """A strategy with the tape of the step that it makes.

    Attributes:
        whole: the tape has the first step too, in which the optimizer makes its state.
        cost_seconds: time of the step, without credit for levers that quicken it by themselves:
            those are no reason to change a step that fits as it is.
    """

    strategy: Strategy
    tape: Tape
    peak_bytes: int
    step_seconds: float
    cost_seconds: float
    step_flops: int
    candidate: Candidate | None = None
    whole: bool = False

    @property
    def is_served(self) -> bool:
        """Whether the device's allocator, if it has one, serves every request of the step within
        the budget.
        """
        return self.tape.meta.get("memory", {"fits": True})["fits"] is True

    @property
    def needed_bytes(self) -> int:
        """Memory that certainly serves the step: what is reserved where nothing is short."""
        reserved = self.tape.reserved_bytes
        return self.peak_bytes if reserved is None else int(reserved.max())


@dataclass
class Search:
    """Everything known so far, and how to know more."""

    pool: Pool
    device: DeviceProfile
    solving: Solving
    variants: list[Variant] = field(default_factory=list)
    known: dict[str, Certified | HeadroomError] = field(default_factory=dict)
    simulate_seconds: float = 0.0

    def add(self, certified: Certified) -> None:
        """Take in what was simulated elsewhere."""
        self.known[_key(certified.strategy)] = certified

    # ------------------------------------------------------------------ proposing

    def propose(self, budget_bytes: int) -> Candidate | None:
        """The quickest candidate that the solver expects to fit, over all variants."""
        bounds = [
            variant.seconds + self.solving.bound(variant.composition.problem, budget_bytes)
            for variant in self.variants
        ]
        best: Candidate | None = None
        ranked = sorted(zip(bounds, self.variants, strict=True), key=lambda pair: pair[0])
        for bound, variant in ranked:
            if best is not None and bound >= best.seconds * NO_CHEAPER:
                break
            solution = self.solving.within(variant.composition.problem, budget_bytes)
            if solution is None:
                continue
            seconds = variant.seconds + solution.seconds
            if best is None or seconds < best.seconds:
                best = _candidate(variant, solution)
        return best

    def propose_smallest(self) -> Candidate | None:
        """The candidate with the least peak."""
        smallest: Candidate | None = None
        for variant in self.variants:
            solution = self.solving.smallest(variant.composition.problem)
            if smallest is None or solution.peak_bytes < smallest.solution.peak_bytes:
                smallest = _candidate(variant, solution)
        return smallest

    def _checkpointed(self) -> Candidate:
        """Every unit recomputed."""
        variant = self.variants[0]
        problem = variant.composition.problem
        choices = everything_recomputed(variant.composition)
        added, peak = added_seconds(problem, choices), peak_bytes(problem, choices)
        return _candidate(variant, Solution(choices, added, peak, "none needed", 0.0))

    # ------------------------------------------------------------------ certifying

    def certify(
        self, candidates: Iterable[Candidate]
    ) -> list[tuple[Candidate, Certified | HeadroomError]]:
        """Simulate the candidates' steps, several at once, each strategy only once.

        Candidates are asked for one by one: solving for the next goes on beside simulating.
        """
        asked: list[Candidate] = []
        fresh: dict[str, Candidate] = {}

        def tasks() -> Iterator[Task]:
            for candidate in candidates:
                asked.append(candidate)
                key = _key(candidate.strategy)
                if key not in self.known and key not in fresh:
                    fresh[key] = candidate
                    yield Task(candidate.strategy)

        started, solved = time.perf_counter(), self.solving.seconds
        tapes = self.pool.trace(tasks())
        solved = self.solving.seconds - solved
        self.simulate_seconds += time.perf_counter() - started - solved
        for (key, candidate), tape in zip(fresh.items(), tapes, strict=True):
            self.known[key] = (
                tape if isinstance(tape, HeadroomError) else self.certified(candidate, tape)
            )
        return [(candidate, self.known[_key(candidate.strategy)]) for candidate in asked]

    def certify_ends(self, budget_bytes: int) -> None:
        """Certify the candidates for a budget, for the least memory, and the usual one between
        them, at once.
        """

        def ends() -> Iterator[Candidate]:
            if (cheapest := self.propose(budget_bytes)) is not None:
                yield cheapest
            yield self._checkpointed()
            if (smallest := self.propose_smallest()) is not None:
                yield smallest

        self.certify(ends())

    def confirmed(self, budget_bytes: int) -> tuple[Certified, bool]:
        """The quickest strategy within the budget, or else the smallest, by its whole workload;
        and whether it is within.

        Candidates are certified by a step whose optimizer has its state already: what differs in
        the first step is not expected to need more memory.
        """
        while True:
            fitting = self.fit(budget_bytes)
            found = fitting or self.smallest()
            if found.whole or found.candidate is None:
                return found, fitting is not None
            started = time.perf_counter()
            (tape,) = self.pool.trace([Task(found.strategy, whole=True)])
            self.simulate_seconds += time.perf_counter() - started
            if isinstance(tape, HeadroomError):
                self.known[_key(found.strategy)] = tape
            else:
                whole = replace(self.certified(found.candidate, tape), whole=True)
                self.known[_key(found.strategy)] = whole

    def certified(self, candidate: Candidate, tape: Tape) -> Certified:
        """What a tape says of its candidate; the solver's model learns from it."""
        seconds = step_seconds(tape, self.device)
        found = Certified(
            candidate.strategy,
            tape,
            int(tape.live_bytes.max()),
            seconds,
            seconds + candidate.variant.credit_seconds,
            step_flops(tape),
            candidate,
        )
        if not 1 - PRECISE <= found.peak_bytes / candidate.solution.peak_bytes <= 1:
            self._learn(found, candidate)
        return found

    def _learn(self, found: Certified, candidate: Candidate) -> None:
        variant = candidate.variant
        choices = candidate.solution.choices
        windows = read_windows(found.tape, variant.composition.places)
        variant.composition = learn(variant.composition, choices, windows, found.peak_bytes)

    # ------------------------------------------------------------------ fitting

    def fit(self, budget_bytes: int) -> Certified | None:
        """The quickest strategy whose certified peak is within the budget; None where none is."""
        asked = budget_bytes
        for _ in range(ATTEMPTS):
            candidate = self.propose(asked)
            best = self._cheapest_known(budget_bytes)
            if candidate is None or (best and candidate.seconds >= best.cost_seconds * NO_CHEAPER):
                break
            already = _key(candidate.strategy) in self.known
            ((_, outcome),) = self.certify([candidate])
            if isinstance(outcome, HeadroomError):
                self._give_up(candidate.variant)
            elif outcome.peak_bytes <= asked and not outcome.is_served:
                asked = int(outcome.peak_bytes * (1 - FRAGMENTED))
            elif already:
                break
        return self._cheapest_known(budget_bytes)

    def _cheapest_known(self, budget_bytes: int) -> Certified | None:
        fitting = [
            each
            for each in self.known.values()
            if isinstance(each, Certified) and each.peak_bytes <= budget_bytes and each.is_served
        ]
        # Of those that cost the same, one that changes nothing; else the one with the least peak.
        return min(
            fitting,
            key=lambda each: (each.cost_seconds, not each.strategy.is_plain, each.peak_bytes),
            default=None,
        )

    def _give_up(self, failing: Variant) -> None:
        self.variants = [variant for variant in self.variants if variant is not failing]

    def smallest(self) -> Certified:
        """The least certified peak that the search finds."""
        if self.variants:
            self.certify([self._checkpointed()])
        for _ in range(ATTEMPTS):
            candidate = self.propose_smallest()
            if candidate is None:
                break
            already = _key(candidate.strategy) in self.known
            ((_, outcome),) = self.certify([candidate])
            if isinstance(outcome, HeadroomError):
                self._give_up(candidate.variant)
            elif already or outcome.peak_bytes <= candidate.solution.peak_bytes:
                break
        known = [each for each in self.known.values() if isinstance(each, Certified)]
        return min(known, key=lambda each: (each.peak_bytes, each.cost_seconds))

    def frontier(self) -> list[Certified]:
        """The certified strategies that none beats in time at a lower peak, largest peak first.

        Those that cost nothing stand beside the plain step, so it begins with nothing applied.
        """
        known = [each for each in self.known.values() if isinstance(each, Certified)]
        ranked = sorted(known, key=lambda each: (each.cost_seconds, -each.peak_bytes))
        frontier: list[Certified] = []
        for each in ranked:
            if not frontier or each.peak_bytes < frontier[-1].peak_bytes:
                frontier.append(each)
        return frontier

    def spread(self, points: int, tell: Callable[[], None]) -> None:
        """Certify candidates between the ends of the frontier until it has enough points."""
        tried: set[int] = set()
        for _ in range(SPREADS):
            frontier = self.frontier()
            missing = points - len(frontier)
            # Half of them at a time: where the frontier bends shows only by and by.
            count = missing if missing <= 2 else -(-missing // 2)
            budgets = [b for b in _budgets(frontier, count) if b not in tried]
            if not budgets:
                return
            tried |= set(budgets)
            self.certify(candidate for b in budgets if (candidate := self.propose(b)) is not None)
            tell()
            if len(self.frontier()) == len(frontier):
                return


def _candidate(variant: Variant, solution: Solution) -> Candidate:
    units = unit_choices(variant.composition, solution.choices)
    strategy = variant.levers.model_copy(update={"units": units})
    return Candidate(variant, solution, strategy, variant.seconds + solution.seconds)


def _budgets(frontier: list[Certified], count: int) -> list[int]:
    """Budgets in the widest stretches of the frontier, in bytes and in time alike."""
    if len(frontier) < 2:
        return []
    peaks = np.array([each.peak_bytes for each in frontier], dtype=np.float64)
    times = np.log([max(each.cost_seconds, 1e-12) for each in frontier])
    widths = -np.diff(peaks) / np.ptp(peaks) + np.diff(times) / max(np.ptp(times), 1e-12)
    parts = np.ones(len(widths), dtype=np.int64)
    for _ in range(count):
        parts[int(np.argmax(widths / parts))] += 1
    budgets: list[int] = []
    for (high, low), number in zip(pairwise(peaks), parts, strict=True):
        budgets += [int(budget) for budget in np.linspace(high, low, int(number) + 1)[1:-1]]
    return budgets


def _key(strategy: Strategy) -> str:
    """Tells strategies apart by what they do, whatever their reasons."""
    units = [choice.model_copy(update={"reason": None}) for choice in strategy.units]
    return strategy.model_copy(update={"units": units}).model_dump_json()
