"""Predicted and measured bytes of state-space presets, phase by phase."""

import pytest

from planner.check import check
from planner.presets.segresmamba import segresmamba
from planner.request import SimulationRequest
from tests.profiler.exactness import predicted_and_measured

BLOCKS = {"source": "preset", "name": "mamba-blocks", "size": "small"}
VOLUMES = {"source": "preset", "name": "segresmamba", "size": "small"}
SMALLER = {"source": "layers", **segresmamba(16, 1, 4, (8, 16), 8)}
CASES = {
    "blocks": (BLOCKS, {}, {}),
    "blocks, bf16": (BLOCKS, {"precision": "bf16"}, {}),
    "volumes, autocast": (SMALLER, {"precision": "amp-bf16"}, {}),
    "volumes, checkpointed": (SMALLER, {}, {"checkpointing": "full"}),
    "volumes, inference": (SMALLER, {"mode": "inference"}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_phase_is_predicted(name):
    assert_exact(*CASES[name])


@pytest.mark.slow
def test_every_phase_of_the_small_preset_of_volumes_is_predicted():
    assert_exact(VOLUMES, {}, {})


def assert_exact(model, workload, strategy):
    body = {
        "model": model,
        "workload": {"batch_size": 2, "sequence_length": 96, **workload},
        "strategy": strategy,
    }
    predicted, measured = predicted_and_measured(check(SimulationRequest.model_validate(body)))
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        # Python numbers that autograd saves as tensors of 8 bytes pass through no op (see docs).
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name
