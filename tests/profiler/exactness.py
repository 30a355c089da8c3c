"""One workload, predicted and really run."""

from planner.devices import BUILTIN
from planner.simulation import simulate
from planner.trace import trace
from profiler.run import measure_request


def predicted_and_measured(asked):
    """The prediction for the CPU and the measurement, which have the same phases."""
    predicted = simulate(trace(asked, BUILTIN["cpu"]))
    measured = measure_request(asked, timing_budget_seconds=0.0).measured
    assert [phase.name for phase in predicted.phases] == [phase.name for phase in measured.phases]
    return predicted, measured
