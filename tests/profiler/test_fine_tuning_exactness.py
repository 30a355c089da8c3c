"""Predicted and measured bytes where only a part of an architecture learns, phase by phase."""

import pytest

from planner.check import check
from planner.presets import PRESETS
from planner.presets.fine_tuning import FINE_TUNING_PRESETS
from planner.request import SimulationRequest
from tests.planner.models.architecture.descriptions import request
from tests.profiler.exactness import predicted_and_measured

CLASSES = {"task": "text-classification"}
LORA = {"r": 4, "dropout": 0.1, "target_modules": "all-linear"}
ADAPTED = {
    "adapter": {"size": 4},
    "dropout": 0.1,
    "model": {"freeze": ["*"], "train": ["*.adapter.*", "*norm.*", "classifier.*"]},
}
CASES = {
    "biases": {**CLASSES, "model": {"freeze": ["*"], "train": ["*bias", "classifier.*"]}},
    "low rank": {"model": {"lora": {"r": 4}}},
    "low rank everywhere, autocast": {
        "model": {"lora": LORA},
        "workload": {"precision": "amp-bf16"},
    },
    "low rank, checkpointed": {
        **CLASSES,
        "model": {"lora": {"r": 4}, "train": ["*classifier*"]},
        "strategy": {"checkpointing": "full"},
    },
    "low rank, reversible": {"model": {"lora": {"r": 4}}, "residual": "reversible"},
    "far": {"feed_forward": {"kind": "far"}},
    "far, autocast": {"feed_forward": {"kind": "far"}, "workload": {"precision": "amp-bf16"}},
    "adapters": {**CLASSES, **ADAPTED},
    "adapters, shared blocks": {**CLASSES, **ADAPTED, "share": "all", "norm_position": "post"},
    "adapters of three tasks": {
        **CLASSES,
        "adapter": {"size": 4},
        "share": "all",
        "model": {"num_tasks": 3, "freeze": ["*"], "train": ["*.tasks.0.*"]},
    },
    "adapters, reversible": {**CLASSES, **ADAPTED, "residual": "reversible"},
    "adapters, checkpointed": {
        **CLASSES,
        **ADAPTED,
        "share": "all",
        "strategy": {"checkpointing": "full"},
    },
}


@pytest.mark.parametrize("name", CASES)
def test_every_phase_is_predicted(name):
    predicted, measured = predicted_and_measured(request(**CASES[name]))
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        # Python numbers that autograd saves as tensors of 8 bytes pass through no op (see docs).
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name


@pytest.mark.parametrize("name", FINE_TUNING_PRESETS)
def test_every_phase_of_a_small_preset_is_predicted(name):
    workload = PRESETS[name].example_workload("small")
    body = {"model": {"source": "preset", "name": name}, "workload": workload}
    predicted, measured = predicted_and_measured(check(SimulationRequest.model_validate(body)))
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name
