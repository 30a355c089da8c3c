"""Predicted and measured bytes of models that learn from teachers."""

import pytest

from tests.planner.distillation.requests import CASES
from tests.profiler.exactness import predicted_and_measured


@pytest.mark.parametrize("name", CASES)
def test_every_phase_is_predicted(name):
    predicted, measured = predicted_and_measured(CASES[name])
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=512), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=512), ours.name
