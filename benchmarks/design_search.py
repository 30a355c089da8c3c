"""Designs that a search finds with few simulations, beside random search and all of them.

    python -m benchmarks.design_search [--write benchmarks/design_search.md]

Every design of a small space of BERT's is simulated once; the searches of all seeds are answered
from that table. Takes a minute or two.
"""

from __future__ import annotations

import argparse
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

from planner.check import check
from planner.designs.chance import random_search
from planner.designs.check import check_design_search
from planner.designs.find import find_design
from planner.designs.goals import Goals, metrics_of
from planner.designs.request import DesignSearchRequest
from planner.designs.search import DesignSearch, Outcome
from planner.devices import BUILTIN
from planner.errors import HeadroomError, InvalidRequest
from planner.predict import predict
from planner.request import SimulationRequest
from planner.trace import trace

SPACE: dict[str, Any] = {
    "model": {
        "source": "transformers",
        "task": "fill-mask",
        "config": {"model_type": "bert", "vocab_size": 1000, "max_position_embeddings": 64},
    },
    "workload": {"mode": "train", "batch_size": 4, "sequence_length": 32},
    "transformer": {
        "hidden": [48, 64, 96, 128, 192],
        "heads": [2, 3],
        "layers": [1, 2, 4],
        "feed_forward": [64, 256],
    },
}
GOALS: dict[str, dict[str, Any]] = {
    "most score in 12 MiB": {"objective": "score", "constraints": {"peak_bytes": "12MiB"}},
    "least peak for a score of 700": {"objective": "peak_bytes", "constraints": {"score": 700}},
    "least time for a score of 700, in 24 MiB": {
        "objective": "step_seconds",
        "constraints": {"score": 700, "peak_bytes": "24MiB"},
    },
}
EVALUATIONS = (10, 20)
SEEDS = 10
HEADER = (
    "| goal | feasible | best | evaluations | found the best | worst found | mean regret "
    "| random's regret |\n|---|---:|---:|---:|---:|---:|---:|---:|"
)

Found = dict[str, Outcome | HeadroomError]


def _request(**fields: Any) -> DesignSearchRequest:
    return check_design_search(DesignSearchRequest.model_validate(SPACE | fields))


def simulate_all() -> Found:
    """Every design of the space, by its request as JSON."""
    found: Found = {}
    request = _request()
    space = DesignSearch(request).space
    device = BUILTIN["cpu"]
    for number in range(space.size):
        design = SimulationRequest.model_validate(space.body(number))
        try:
            tape = trace(check(design), device)
            prediction = predict(tape, device, design.workload.mode)
            outcome = Outcome(metrics_of(prediction, tape, device, request))
        except InvalidRequest as error:
            found[design.model_dump_json()] = error
        else:
            found[design.model_dump_json()] = outcome
    return found


def row(name: str, found: Found, evaluations: int) -> str:
    """One goal with one budget, over all seeds."""

    def evaluate(design: SimulationRequest) -> Outcome:
        outcome = found[design.model_dump_json()]
        if isinstance(outcome, HeadroomError):
            raise outcome
        return outcome

    goals = DesignSearch(_request(**GOALS[name])).goals
    values = _values(goals, found)
    feasible = [value for value in values if value is not None]
    best = min(feasible, key=lambda value: goals.sign * value)
    regrets = []
    for seed in range(SEEDS):
        answer = find_design(_request(**GOALS[name], evaluations=evaluations, seed=seed), evaluate)
        assert answer.best is not None
        assert answer.best.metrics is not None
        reached = goals.value(answer.best.metrics)
        assert reached is not None
        regrets.append(abs(reached - best) / best)  # none is better
    chance = random_search(values, evaluations, goals.sign, best, is_simulated=True)
    assert chance.regret is not None
    return (
        f"| {name} | {len(feasible)} of {len(values)} | {best:.6g} | {evaluations} "
        f"| {sum(regret == 0 for regret in regrets)} of {SEEDS} | {max(regrets):.1%} "
        f"| {statistics.mean(regrets):.1%} | {chance.regret:.1%} |"
    )


def _values(goals: Goals, found: Found) -> list[float | None]:
    """The objective of each design that can be built; None where it is infeasible."""
    values: list[float | None] = []
    for outcome in found.values():
        if isinstance(outcome, Outcome) and outcome.metrics is not None:
            kept = not goals.violations(outcome.metrics)
            values.append(goals.value(outcome.metrics) if kept else None)
    return values


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    found = simulate_all()
    rows = [row(name, found, evaluations) for name in GOALS for evaluations in EVALUATIONS]
    text = "\n".join([HEADER, *rows])
    print(text)
    if arguments.write is not None:
        refused = sum(isinstance(outcome, HeadroomError) for outcome in found.values())
        arguments.write.write_text(_document(text, len(found), refused), encoding="utf-8")


def _document(table: str, size: int, refused: int) -> str:
    return f"""# Design search beside random search

`python -m benchmarks.design_search --write benchmarks/design_search.md`; torch {version("torch")},
transformers {version("transformers")}. The space has {size} small BERTs; {refused} of them cannot
be built.

Regret is how much worse the design found is than the best of all, relative to it: of the search
over {SEEDS} seeds, of random search in expectation over all draws of as many different designs that
can be built, given that it finds a feasible one.

{table}

One space, whose memory, time and score are smooth in its sizes, as the surrogate assumes; spaces of
unordered choices were not measured. The score is no measure of accuracy
([docs/design-search.md](../docs/design-search.md)).
"""


if __name__ == "__main__":
    main()
