"""Predicted and measured bytes of compressed models, phase by phase."""

import pytest

from planner.check import check
from planner.devices import BUILTIN
from planner.predict import predict
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace
from profiler.run import measure_request
from tests.planner.requests import request

NF4 = {"kind": "quantization", "format": "nf4"}
INT8 = {"kind": "quantization", "format": "int8"}
CSR = {"kind": "sparse", "storage": "csr", "sparsity": 0.8}
BITMASK = {"kind": "sparse", "storage": "bitmask", "sparsity": 0.7}
TWO_OF_FOUR = {"kind": "sparse", "storage": "2:4"}
MASKED = {"kind": "sparse", "storage": "masked", "sparsity": 0.7}
PRUNED = {"kind": "structural_pruning", "ratio": 0.5}
NUMERICAL = {**PRUNED, "score": "numerical"}
LOW_RANK = {"kind": "low_rank", "rank": 16}
GENERATION = {"mode": "generation", "new_tokens": 3}
ADAPTED = {"model": {"lora": {"r": 4}}}
EVERYWHERE = {"model": {"lora": {"r": 4, "target_modules": "all-linear"}}}

CASES = {
    "gpt2 nf4 inference": ("gpt2", [NF4], {"mode": "inference"}),
    "gpt2 int8 bf16 adapters": ("gpt2", [INT8], {**ADAPTED, "precision": "bf16"}),
    "gpt2 csr generation": ("gpt2", [CSR], GENERATION),
    "gpt2 masked training": ("gpt2", [MASKED], {}),
    "gpt2 pruned training": ("gpt2", [NUMERICAL], {}),
    "gpt2 low rank training": ("gpt2", [LOW_RANK], {}),
    "llama nf4 generation": ("llama", [NF4], GENERATION),
    "llama nf4 adapters": ("llama", [NF4], ADAPTED),
    "llama nf4 adapters checkpointed": ("llama", [NF4], {**ADAPTED, "checkpointing": "full"}),
    "llama nf4 adapters bf16": ("llama", [NF4], {**ADAPTED, "precision": "bf16"}),
    "llama csr inference": ("llama", [CSR], {"mode": "inference"}),
    "llama pruned generation": ("llama", [PRUNED], GENERATION),
    "llama pruned int8 static": ("llama", [PRUNED, INT8], {**GENERATION, "cache": "static"}),
    "bert nf4 adapters autocast": ("bert", [NF4], {**EVERYWHERE, "precision": "amp-bf16"}),
    "bert 2:4 inference": ("bert", [TWO_OF_FOUR], {"mode": "inference"}),
    "bert bitmask inference": ("bert", [BITMASK], {"mode": "inference"}),
    "bert pruned training": ("bert", [PRUNED], {}),
}  # fmt: skip


def compressed(model_type, compression, **options):
    task = "fill-mask" if model_type == "bert" else "text-generation"
    asked = request(model_type, task, **options)
    strategy = {**asked.strategy.model_dump(), "compression": compression}
    return check(SimulationRequest.model_validate({**asked.model_dump(), "strategy": strategy}))


@pytest.mark.parametrize("name", CASES)
def test_every_phase_is_predicted(name):
    model_type, compression, options = CASES[name]
    asked = compressed(model_type, compression, **options)
    predicted = simulate(trace(asked, BUILTIN["cpu"]))
    measured = measure_request(asked, timing_budget_seconds=0.0).measured
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        assert ours.name == real.name
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=256), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=256), ours.name


@pytest.mark.parametrize(
    ("compression", "share"),
    [(NF4, 1e-4), (INT8, 1e-4), (PRUNED, 1e-4), (TWO_OF_FOUR, 1e-4), (BITMASK, 0.06)],
    ids=["nf4", "int8", "pruned", "2:4", "bitmask"],
)
def test_the_load_peak_is_that_of_building_for_real(compression, share):
    """What `sort` allocates inside itself is not known, so bitmask's is a little low."""
    asked = compressed("llama", [compression], mode="inference")
    predicted = simulate(trace(asked, BUILTIN["cpu"]))
    run = measure_request(asked, timing_budget_seconds=0.0)
    begin = run.timeline.phases[0][1]
    measured = int(run.timeline.live_bytes[run.timeline.time_ns < begin].max())
    assert predicted.load_peak_bytes == pytest.approx(measured, rel=share)
    full = 4 * simulate(trace(compressed("llama", []), BUILTIN["cpu"])).parameter_count
    assert predicted.load_peak_bytes > full > predicted.phases[0].end_bytes


def test_the_weights_of_an_8b_model_are_those_of_the_formula():
    """Llama-3-8B's shape in bf16: 6.98e9 parameters in linear layers at 4.127 bits each."""
    config = {
        "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096,
        "intermediate_size": 14_336, "num_hidden_layers": 2, "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }  # fmt: skip
    asked = check(
        SimulationRequest.model_validate(
            {
                "model": {"source": "transformers", "config": config},
                "workload": {"mode": "inference", "sequence_length": 8, "precision": "bf16"},
                "strategy": {"compression": [NF4]},
            }
        )
    )
    tape = trace(asked, BUILTIN["h100-80gb"])
    sizes = [4096 * 4096, 1024 * 4096, 1024 * 4096, 4096 * 4096, *[14_336 * 4096] * 3]
    stored = 2 * sum(n // 2 + n // 64 + 4 * (n // 64 // 256) + 4 for n in sizes)
    assert stored * 8 / (2 * sum(sizes)) == pytest.approx(4.127, abs=5e-4)
    buffers = sum(
        int(size)
        for size, name in zip(tape.storage_bytes, tape.storage_name, strict=True)
        if name >= 0
        and tape.names[name].rpartition(".")[2] in ("qweight", "absmax", "nested_absmax", "offset")
    )
    # The allocator serves multiples of 512 bytes; only the offset of each layer is no multiple.
    assert buffers == stored + 2 * 7 * (512 - 4)


@pytest.mark.parametrize("compression", [NF4, INT8, CSR, BITMASK, TWO_OF_FOUR, PRUNED, LOW_RANK])
def test_gpus_are_predicted_without_one(compression):
    asked = compressed("llama", [compression], mode="inference", precision="bf16")
    device = BUILTIN["h100-80gb"]
    predicted = predict(trace(asked, device), device, "inference")
    assert predicted.peak_bytes > 0
    assert predicted.load_peak_bytes > 2 * 263_808
    cusparse = [each for each in predicted.limitations if "cuSPARSE" in each]
    assert bool(cusparse) is (compression is CSR)
