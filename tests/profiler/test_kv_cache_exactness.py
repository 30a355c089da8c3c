"""Predicted and measured bytes of generation with every cache policy, phase by phase."""

import pytest

from planner.check import check
from planner.devices import BUILTIN
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace
from tests.planner.models.caches.decoding import CONFIGS
from tests.profiler.exactness import predicted_and_measured

POLICIES = {
    "window": {"kind": "window", "window": 16, "sinks": 4},
    "think": {"kind": "think", "recent": 8},
    "2 bits": {"kind": "quantized", "bits": 2, "residual": 32},
    "8 bits": {"kind": "quantized", "bits": 8, "residual": 32, "keys_per": "token"},
}


def request(model_type, kv_cache, **workload):
    config = {"model_type": model_type, **CONFIGS[model_type]}
    asked = {
        "model": {"source": "transformers", "task": "text-generation", "config": config},
        "workload": {
            "mode": "generation", "batch_size": 2, "sequence_length": 90, "new_tokens": 8,
            **workload,
        },
        "strategy": {"kv_cache": kv_cache},
    }  # fmt: skip
    return check(SimulationRequest.model_validate(asked))


CASES = [
    *((model, policy, "fp32") for model in CONFIGS for policy in POLICIES),
    *(("llama", policy, precision) for policy in POLICIES for precision in ("bf16", "amp-bf16")),
]


@pytest.mark.parametrize(("model_type", "policy", "precision"), CASES)
def test_every_phase_is_predicted(model_type, policy, precision):
    asked = request(model_type, POLICIES[policy], precision=precision)
    predicted, measured = predicted_and_measured(asked)
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name


def test_no_cache_is_predicted():
    predicted, measured = predicted_and_measured(request("llama", None, cache="none"))
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_are_simulated_on_an_absent_gpu(policy):
    device = BUILTIN["h100-80gb"]
    saved = simulate(trace(request("llama", POLICIES[policy], precision="bf16"), device))
    whole = simulate(trace(request("llama", None, precision="bf16"), device))
    assert saved.phases[0].end_bytes < whole.phases[0].end_bytes
