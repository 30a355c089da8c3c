"""Predicted and measured bytes of presets whose tokens, widths or heads change, phase by phase."""

import pytest

from planner.check import check
from planner.presets.schedules import SCHEDULE_PRESETS
from planner.request import SimulationRequest
from tests.profiler.exactness import predicted_and_measured


@pytest.mark.parametrize("mode", ["train", "inference"])
@pytest.mark.parametrize("name", SCHEDULE_PRESETS)
def test_every_phase_is_predicted(name, mode):
    workload = {**SCHEDULE_PRESETS[name].example_workload("small"), "mode": mode}
    asked = check(
        SimulationRequest.model_validate(
            {"model": {"source": "preset", "name": name}, "workload": workload}
        )
    )
    predicted, measured = predicted_and_measured(asked)
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        # Python numbers that autograd saves as tensors of 8 bytes pass through no op (see docs).
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name
