"""Predicted and measured bytes of whole workloads, phase by phase."""

import pytest

from tests.planner.requests import request
from tests.profiler.exactness import predicted_and_measured

CASES = {
    "gpt2": ("gpt2", "text-generation", {}),
    "gpt2 bf16": ("gpt2", "text-generation", {"precision": "bf16"}),
    "llama checkpointed": ("llama", "text-generation", {"checkpointing": "full"}),
    "llama accumulating": ("llama", "text-generation", {"gradient_accumulation_steps": 2}),
    "llama adapters": ("llama", "text-generation", {"model": {"lora": {"r": 4}}}),
    "llama inference": ("llama", "text-generation", {"mode": "inference"}),
    "llama generation": ("llama", "text-generation", {"mode": "generation", "new_tokens": 4}),
    "bert autocast": ("bert", "fill-mask", {"precision": "amp-bf16"}),
    "vit autocast with scaled loss": (
        "vit",
        "image-classification",
        {"precision": "amp-fp16"},
    ),
    "bert momentum": ("bert", "fill-mask", {"optimizer": {"name": "sgd", "momentum": 0.9}}),
    "gpt2 sgc": (
        "gpt2",
        "text-generation",
        {"optimizer": {"name": "mesgc", "chunks": 7, "s": 8}},
    ),
    "gpt2 sgc low-rank": (
        "gpt2",
        "text-generation",
        {"optimizer": {"name": "cesgc", "rank": 16, "chunks": 4, "store_projection": True}},
    ),
    "gpt2 galore bf16": (
        "gpt2",
        "text-generation",
        {"optimizer": {"name": "galore_adamw", "rank": 16}, "precision": "bf16"},
    ),
    "gpt2 8-bit states": ("gpt2", "text-generation", {"optimizer": {"name": "adamw8bit"}}),
    "t5": ("t5", "text2text-generation", {"target_length": 16}),
    "t5 generation": (
        "t5",
        "text2text-generation",
        {"mode": "generation", "new_tokens": 4},
    ),
    "mamba": ("mamba", "text-generation", {}),
    "mixtral": ("mixtral", "text-generation", {}),
    "resnet": ("resnet", "image-classification", {"image_size": 64}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_phase_is_predicted(name):
    model_type, task, options = CASES[name]
    asked = request(model_type, task, **options)
    predicted, measured = predicted_and_measured(asked)
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        # Python numbers that autograd saves as tensors of 8 bytes pass through no op (see docs).
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=512), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=512), ours.name
    assert predicted.peak_bytes == pytest.approx(measured.peak_bytes, abs=512)
