"""Predicted and measured bytes of graphs of layers, phase by phase."""

import json
from pathlib import Path

import pytest

from planner.check import check
from planner.request import SimulationRequest
from tests.planner.models.layers.networks import NETWORKS
from tests.planner.models.layers.requests import request
from tests.profiler.exactness import predicted_and_measured

EXAMPLES = Path(__file__).parents[2] / "examples"

WORKLOADS = {
    "train": {},
    "bf16": {"precision": "bf16"},
    "autocast": {"precision": "amp-bf16"},
    "inference": {"mode": "inference"},
}
CASES = [
    (name, workload)
    for name in NETWORKS
    for workload in WORKLOADS
    # Average pooling over channels, of local response norms, has no bf16 kernel on the CPU.
    if (name, workload) != ("images", "bf16")
]


def assert_exact(asked):
    predicted, measured = predicted_and_measured(asked)
    # Within 0.1 %; Python numbers that autograd saves as tensors of 8 bytes pass through no op.
    assert predicted.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.001)
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=512), ours.name
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, rel=0.001, abs=12_288), ours.name


@pytest.mark.parametrize(("name", "workload"), CASES)
def test_every_phase_is_predicted(name, workload):
    assert_exact(request(NETWORKS[name], **WORKLOADS[workload]))


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": {"checkpointing": "full"}},
        {"strategy": {"micro_batches": 2}},
        {"strategy": {"loss_chunks": 4}},
        {"strategy": {"optimizer": {"in_backward": True}}},
        {"gradient_accumulation_steps": 2},
        {"optimizer": {"name": "sgd", "momentum": 0.9}},
    ],
)
def test_other_ways_to_train(options):
    assert_exact(request(NETWORKS["gpt"], **options))


def test_the_u_net_of_the_examples_in_small():
    body = json.loads((EXAMPLES / "unet-layers.json").read_text())
    body["model"]["inputs"]["images"]["shape"] = [3, 16, 16]
    for checkpointing in ("none", "full"):
        body["strategy"] = {"checkpointing": checkpointing}
        assert_exact(check(SimulationRequest.model_validate(body)))
