"""Presets of few parameters have the published numbers, and what learns is what should."""

import pytest
import torch

from planner.check import check
from planner.devices import BUILTIN
from planner.models.architecture.job import build_architecture
from planner.presets import PRESETS
from planner.request import SimulationRequest, Workload
from planner.simulation import simulate
from planner.strategy import Strategy
from planner.trace import trace


def paper(name):
    model = PRESETS[name].description("paper")
    return build_architecture(model, Workload(sequence_length=128), Strategy(), "meta")


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


def trainable(name):
    return [(n, p) for n, p in paper(name).named_parameters() if p.requires_grad]


@pytest.mark.parametrize(
    ("name", "parameters", "parameter_bytes"),
    [
        ("resource-efficient-transformer-before", 140_288, 1_122_304),
        ("resource-efficient-transformer", 67_072, 536_576),
    ],
)
def test_halved_embeddings_have_the_published_parameters_and_bytes(
    name, parameters, parameter_bytes
):
    body = {
        "model": {"source": "preset", "name": name, "size": "paper"},
        "workload": {**PRESETS[name].example_workload("paper"), "mode": "inference"},
    }
    tape = trace(check(SimulationRequest.model_validate(body)), BUILTIN["cpu"])
    prediction = simulate(tape)
    assert prediction.parameter_count == parameters
    assert prediction.at_peak.parameters == parameter_bytes


def test_adapter_albert_trains_adapters_norms_and_the_classifier():
    hidden, size = 768, 64
    found = trainable("adapter-albert")
    adapters = [p for name, p in found if ".adapter." in name]
    assert count(adapters) == 12 * 2 * (2 * hidden * size + hidden + size)
    others = [name for name, _ in found if ".adapter." not in name]
    assert all("norm." in name or name.startswith("classifier.") for name in others)
    backbone = count(paper("albert-shared").groups.parameters())
    assert count(paper("adapter-albert").groups.parameters()) == backbone + count(adapters)


def test_far_trains_the_retained_nodes_of_feed_forwards():
    frozen = [p for p in paper("far-distilbert").parameters() if not p.requires_grad]
    learners = int(0.4 * 3_072), int(0.4 * 768)
    per_layer = (3_072 - learners[0]) * (768 + 1) + (768 - learners[1]) * (3_072 + 1)
    assert count(frozen) == 6 * per_layer


def test_bitfit_trains_about_a_thousandth():
    # arXiv 2106.10199: 0.09 % of BERT base's parameters, and the classifier.
    biases = count(p for name, p in trainable("bitfit-bert") if not name.startswith("classifier"))
    assert biases / count(paper("bitfit-bert").parameters()) == pytest.approx(0.0009, abs=1e-4)


def test_released_memoryformer_adds_biases_and_leaves_out_shifts():
    def named(name, ending):
        return [p for n, p in paper(name).named_parameters() if n.endswith(ending)]

    tables = [count(named(f"memoryformer{end}", "proj.weight")) for end in ("", "-released")]
    assert tables[0] == tables[1]
    assert not named("memoryformer", "proj.bias")
    assert count(named("memoryformer-released", "proj.bias")) == 6 * 3 * 512
    assert torch.nn.RMSNorm in {type(module) for module in paper("memoryformer-released").modules()}
