"""Which design to simulate next, and what was found: asks and is told, and simulates nothing.

First a few designs spread over the space, unless enough are in the store. Then, each time, a
surrogate of the objective and of every limited metric is learnt from all designs seen: those that
break a limit have numbers and teach where the limit lies, those that failed teach what fails. What
is proposed is

1. the best design that is feasible, and better than the best one seen, even if the surrogate is
   wrong by a deviation (conservative, after PRIME, arXiv 2110.11346);
2. else the best by what is expected;
3. else the best that a deviation in its favour would make so.

A proposal outside of what the designs seen span says so (`extrapolated`). Nothing is called best
that was not simulated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from planner.designs.answer import Design, DesignMetrics, DesignSearchAnswer, Expected, Untried
from planner.designs.chance import random_search
from planner.designs.goals import Goals
from planner.designs.request import DesignSearchRequest
from planner.designs.space import DesignSpace, Floats
from planner.designs.surrogate import Surrogate, fit, squared_distances
from planner.request import SimulationRequest

_UNTRIED = 3
_FAILS = 0.5
"""A design is expected to fail where failures (1) and successes (0) average to more."""
_MOST_REFUSED = 1_000
"""Proposals that are wrong as they stand cost no evaluation; so many of them end the search."""
_LEAST = 1e-12
"""Logarithms are taken of no less."""
_LIMITATIONS = [
    "the score's statistic is not ZeroLM's, which could not be obtained, and was not compared with "
    "the accuracy of trained models",
    "expected values are a surrogate's; only designs with metrics were simulated",
]


@dataclass(frozen=True)
class Proposal:
    """A design to simulate now."""

    design: int
    source: Literal["initial", "proposed"]
    expected: Expected | None


@dataclass(frozen=True)
class Outcome:
    """What simulating a design gave: metrics, or a problem.

    Attributes:
        refused: the design is wrong as it stands, so that nothing was simulated.
    """

    metrics: DesignMetrics | None = None
    problem: str | None = None
    refused: bool = False
    simulation_id: str | None = None


class DesignSearch:
    """The state of a search: the designs seen so far."""

    def __init__(self, request: DesignSearchRequest) -> None:
        """Prepare for a request that `check_design_search` has passed."""
        self.space = DesignSpace.of(request)
        self.goals = Goals.of(request)
        self.evaluations = 0
        self._budget = request.evaluations
        self._features = self.space.features()
        self._random = np.random.default_rng(request.seed)
        self._seen: dict[int, Design] = {}
        self._refused: set[int] = set()
        self._refusals = 0

    def admit(self) -> dict[int, SimulationRequest]:
        """The designs that are requests at all, by number; the others are refused, and learnt from.

        Call it before the first `ask`, so that none of the others is proposed.
        """
        admitted = {}
        for number in range(self.space.size):
            try:
                admitted[number] = SimulationRequest.model_validate(self.space.body(number))
            except ValidationError as error:
                problem = str(error.errors()[0]["msg"])
                self.know(number, Outcome(problem=problem, refused=True))
        return admitted

    def know(self, design: int, outcome: Outcome) -> None:
        """Take in what the store has of a design."""
        self._note(design, outcome, "stored", None)

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        """Take in what came out of a proposal."""
        self.evaluations += not outcome.refused
        self._refusals += outcome.refused
        self._note(proposal.design, outcome, proposal.source, proposal.expected)

    def _note(
        self,
        design: int,
        outcome: Outcome,
        source: Literal["stored", "initial", "proposed"],
        expected: Expected | None,
    ) -> None:
        metrics = outcome.metrics
        violations = [] if metrics is None else self.goals.violations(metrics)
        if outcome.problem is not None:
            violations.append(outcome.problem)
        if outcome.refused:
            self._refused.add(design)
        self._seen[design] = Design(
            choices=self.space.choices(design),
            source=source,
            metrics=metrics,
            feasible=metrics is not None and not violations,
            violations=violations,
            expected=expected,
            simulation_id=outcome.simulation_id,
        )

    def ask(self) -> Proposal | None:
        """The design to simulate next; None when all is done."""
        left = self._left()
        is_over = self.evaluations >= self._budget or self._refusals >= _MOST_REFUSED
        if is_over or not len(left):
            return None
        if len(self._measured()) < self._initial():
            return Proposal(self._farthest(left), "initial", None)
        beliefs = self._beliefs()
        design = beliefs.choose(left, self._best_value())
        return Proposal(design, "proposed", self._expected(beliefs, design))

    def best(self) -> Design | None:
        """The best feasible design that was simulated."""
        feasible = [design for design in self._seen.values() if design.feasible]
        return min(feasible, key=lambda each: self.goals.sign * self._value(each), default=None)

    def answer(self) -> DesignSearchAnswer:
        """Everything found so far."""
        best = self.best()
        beliefs = self._beliefs() if self._measured() else None
        return DesignSearchAnswer(
            space_size=self.space.size,
            stored=sum(
                design.source == "stored"
                for number, design in self._seen.items()
                if number not in self._refused
            ),
            evaluations=self.evaluations,
            refused=len(self._refused),
            best=best,
            designs=list(self._seen.values()),
            untried=[] if beliefs is None else self._untried(beliefs),
            random_search=random_search(
                self._values(beliefs),
                self._budget,
                self.goals.sign,
                None if best is None else self._value(best),
                is_simulated=not len(self._left()),
            ),
            limitations=_LIMITATIONS,
        )

    # What is known.

    def _left(self) -> NDArray[np.int64]:
        return np.setdiff1d(np.arange(self.space.size), np.array([*self._seen], dtype=np.int64))

    def _measured(self) -> list[int]:
        return [number for number, design in self._seen.items() if design.metrics is not None]

    def _value(self, design: Design) -> float:
        assert design.metrics is not None
        value = self.goals.value(design.metrics)
        assert value is not None
        return value

    def _best_value(self) -> float | None:
        best = self.best()
        return None if best is None else self.goals.sign * _log(self._value(best))

    def _initial(self) -> int:
        """Designs seen before the surrogate is asked: as many as there are things to learn."""
        features = int(self._features.shape[1])
        return max(2, min(features + 2, self._budget // 3))

    def _farthest(self, left: NDArray[np.int64]) -> int:
        """A design as far as can be from all that were seen."""
        if not self._seen:
            return int(self._random.choice(left))
        seen = self._features[[*self._seen]]
        gaps = squared_distances(self._features[left], seen).min(axis=1)
        return int(self._random.choice(left[gaps >= gaps.max() - 1e-9]))

    # What is expected.

    def _beliefs(self) -> _Beliefs:
        measured = self._measured()
        metrics = {number: self._seen[number].metrics for number in measured}

        def learn(metric: str) -> Surrogate | None:
            known = {
                number: value
                for number in measured
                if (value := getattr(metrics[number], metric)) is not None
            }
            if not known:
                return None
            return fit(self._features, [*known], [_log(value) for value in known.values()])

        failed = [float(design.metrics is None) for design in self._seen.values()]
        return _Beliefs(
            self.goals,
            {name: learn(name) for name in self._metrics()},
            fit(self._features, [*self._seen], failed).mean > _FAILS,
        )

    def _metrics(self) -> list[str]:
        limited = [limit.metric for limit in self.goals.limits]
        return [*dict.fromkeys((self.goals.objective, *limited))]

    def _expected(self, beliefs: _Beliefs, design: int) -> Expected | None:
        model = beliefs.models[self.goals.objective]
        if model is None:
            return None
        return Expected(
            value=math.exp(model.mean[design]),
            pessimistic=math.exp(model.bound(self.goals.sign, 1.0)[design]),
            extrapolated=self.space.extrapolates(design, self._measured()),
        )

    def _untried(self, beliefs: _Beliefs) -> list[Untried]:
        left = self._left()
        found = []
        for _ in range(min(_UNTRIED, len(left))):
            design = beliefs.choose(left, None)
            left = left[left != design]
            if (expected := self._expected(beliefs, design)) is not None:
                found.append(Untried(choices=self.space.choices(design), expected=expected))
        return found

    def _values(self, beliefs: _Beliefs | None) -> list[float | None]:
        """The objective of every design that is not refused, as simulated or expected; None where
        it is infeasible.
        """
        values: list[float | None] = []
        model = None if beliefs is None else beliefs.models[self.goals.objective]
        feasible = None if beliefs is None else beliefs.feasible(0.0)
        for number in range(self.space.size):
            design = self._seen.get(number)
            if number in self._refused:
                continue
            if design is not None:
                values.append(self._value(design) if design.feasible else None)
            elif model is not None and feasible is not None and feasible[number]:
                values.append(math.exp(model.mean[number]))
            else:
                values.append(None)
        return values


@dataclass(frozen=True, eq=False)
class _Beliefs:
    """What the surrogates hold of all designs; values are logarithms, less is better."""

    goals: Goals
    models: dict[str, Surrogate | None]
    fails: NDArray[np.bool_]

    def choose(self, left: NDArray[np.int64], best: float | None) -> int:
        """The one of the designs left to look at next."""
        for caution in (1.0, 0.0, -1.0):
            values = self._values(caution)[left]
            chosen = self.feasible(caution)[left]
            if best is not None:
                chosen &= values < best
            if chosen.any():
                return int(left[chosen][np.argmin(values[chosen])])
        # Nothing is expected to be better: what breaks its limits least may be, if all is wrong.
        excess = np.where(self.fails[left], np.inf, self._excess(-1.0)[left])
        order = np.lexsort((self._values(-1.0)[left], excess))
        return int(left[order[0]])

    def feasible(self, caution: float) -> NDArray[np.bool_]:
        """Designs that keep to all limits, so many deviations for the worse included."""
        return (self._excess(caution) <= 0) & ~self.fails

    def _values(self, caution: float) -> Floats:
        model = self.models[self.goals.objective]
        if model is None:
            return np.zeros(len(self.fails))
        return self.goals.sign * model.bound(self.goals.sign, caution)

    def _excess(self, caution: float) -> Floats:
        """How far beyond their limits designs are, added up."""
        excess = np.zeros(len(self.fails))
        for limit in self.goals.limits:
            if (model := self.models[limit.metric]) is not None:
                beyond = limit.sign * (model.bound(limit.sign, caution) - _log(limit.limit))
                excess += np.maximum(beyond, 0.0)
        return excess


def _log(value: float) -> float:
    return math.log(max(value, _LEAST))
