"""Predicted and measured bytes of architectures, phase by phase."""

import pytest

from tests.planner.models.architecture.descriptions import EVERY, request
from tests.profiler.exactness import predicted_and_measured

AUTOCAST = {"workload": {"precision": "amp-bf16"}}
CHECKPOINTED = {"strategy": {"checkpointing": "full"}}
FEATURES = {"task": "feature-extraction", "workload": {"mode": "inference"}}
CASES = {
    **{name: case for name, case in EVERY.items() if name.split()[-1] not in ("dense", "axial")},
    "autocast, reversible": {**EVERY["decoder reversible"], **AUTOCAST},
    "autocast, memory": {**EVERY["decoder memory"], **AUTOCAST},
    "bf16, memory": {**EVERY["decoder memory"], "workload": {"precision": "bf16"}},
    "checkpointed, performer": {**EVERY["decoder performer"], **CHECKPOINTED},
    "checkpointed, experts": {**EVERY["decoder experts"], **CHECKPOINTED},
    "accumulating, reversible": {
        **EVERY["decoder reversible"],
        "workload": {"gradient_accumulation_steps": 2},
    },
    "inference": FEATURES,
}


@pytest.mark.parametrize("name", CASES)
def test_every_phase_is_predicted(name):
    asked = request(**CASES[name])
    predicted, measured = predicted_and_measured(asked)
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        # Python numbers that autograd saves as tensors of 8 bytes pass through no op (see docs).
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name
