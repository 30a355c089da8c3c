"""Predicted and measured bytes of encoder-decoder presets, phase by phase."""

import pytest

from planner.check import check
from planner.presets import PRESETS
from planner.request import SimulationRequest
from tests.profiler.exactness import predicted_and_measured

TRAIN = {"batch_size": 2, "sequence_length": 64, "target_length": 32}
INFERENCE = {**TRAIN, "mode": "inference"}
BPTT, MRBP = {"backward": "bptt"}, {"backward": "mrbp"}
CASES = {
    "transformer-base": ("transformer-base", {}, TRAIN, "none"),
    "transformer-base, recomputed": ("transformer-base", {}, TRAIN, "full"),
    "transformer-base, inference": ("transformer-base", {}, INFERENCE, "none"),
    "memformer through time": ("memformer", BPTT, TRAIN, "none"),
    "memformer recomputed": ("memformer", BPTT, TRAIN, "full"),
    "memformer replayed": ("memformer", MRBP, TRAIN, "none"),
    "memformer replayed, autocast": ("memformer", MRBP, {**TRAIN, "precision": "amp-bf16"}, "none"),
    "memformer inference": ("memformer", BPTT, INFERENCE, "none"),
}


def preset(name, memory, workload, checkpointing):
    model = PRESETS[name].description("small").model_dump()
    if memory:
        model["memory"] |= memory
    return check(
        SimulationRequest.model_validate(
            {"model": model, "workload": workload, "strategy": {"checkpointing": checkpointing}}
        )
    )


@pytest.mark.parametrize("name", CASES)
def test_every_phase_of_a_preset_is_predicted(name):
    predicted, measured = predicted_and_measured(preset(*CASES[name]))
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        # Python numbers that autograd saves as tensors of 8 bytes pass through no op (see docs).
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name
