"""Families of models, each in every mode, on the simulated device: every step is traced, and its
categories add up.
"""

import pytest

from planner.check import check
from planner.models.optimizers import OPTIMIZERS
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.tape import Category
from tests.planner.models.families import FAMILIES
from tests.planner.requests import request
from tests.planner.tapes import check_tape
from tests.planner.tracing.cuda.devices import nvidia, trace_storages

CHOSEN = {
    "gpt2", "llama", "qwen3", "bert", "distilbert", "t5", "bart", "mixtral", "mamba", "vit",
    "convnext", "resnet", "swin", "detr", "wav2vec2", "whisper", "clip", "llava",
}  # fmt: skip
FIRST = {family[0]: family for family in reversed(FAMILIES) if family[0] in CHOSEN}
MODES = {
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "amp-bf16": {"precision": "amp-bf16"},
    "checkpointing": {},
    "inference": {"mode": "inference"},
    "generation": {"mode": "generation", "new_tokens": 3},
}
GENERATES = {"gpt2", "llama", "qwen3", "bart", "mixtral", "mamba", "whisper"}


WITHOUT_CHECKPOINTING = {"convnext", "resnet"}
CASES = [
    (family, mode)
    for family in sorted(FIRST)
    for mode in MODES
    if not (mode == "generation" and family not in GENERATES)
    and not (mode == "checkpointing" and family in WITHOUT_CHECKPOINTING)
]


def test_enough_families():
    assert len(FIRST) >= 12


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_a_step(family, mode):
    model_type, task, fields, workload = FIRST[family]
    asked = SimulationRequest.model_validate(
        {
            "model": {
                "source": "transformers", "task": task,
                "config": {"model_type": model_type, **fields},
            },
            "workload": {"batch_size": 2, "sequence_length": 32, **workload, **MODES[mode]},
            "strategy": {"checkpointing": "full" if mode == "checkpointing" else "none"},
        }
    )  # fmt: skip
    tape = trace_storages(check(asked), nvidia())
    check_tape(tape)
    prediction = simulate(tape)
    assert sum(prediction.at_peak.model_dump().values()) == prediction.peak_bytes
    kinds = tape.storage_category
    parameters = int(tape.storage_bytes[kinds == Category.parameters].sum())
    width = 2 if mode == "bf16" else 4
    assert parameters == width * tape.meta["parameter_count"]
    if "step1.optimizer_step" in tape.phases:
        gradients = int(tape.storage_bytes[kinds == Category.gradients].sum())
        assert gradients <= 2 * parameters  # one set a step, where every parameter has one
        assert not (kinds == Category.optimizer_state).all()


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_optimizer(name):
    tape = trace_storages(request("gpt2", optimizer={"name": name}), nvidia())
    check_tape(tape)
    assert "step1.optimizer_step" in tape.phases
