"""Every named system in its small size: described, predicted, and run for real."""

import pytest

from planner.check import check
from planner.presets import PRESETS
from planner.request import SimulationRequest
from tests.profiler.exactness import predicted_and_measured


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_takes_what_is_predicted(name):
    body = {
        "model": {"source": "preset", "name": name},
        "workload": PRESETS[name].example_workload("small"),
    }
    predicted, measured = predicted_and_measured(check(SimulationRequest.model_validate(body)))
    assert predicted.peak_bytes == pytest.approx(measured.peak_bytes, rel=1e-3)
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, rel=1e-3), ours.name
