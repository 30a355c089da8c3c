"""Building: the same module tree on fake and real tensors, in any precision, adapted or frozen."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from planner.check import check
from planner.errors import InvalidRequest, ModelBuildFailed
from planner.models.build import build_model
from planner.models.inputs import make_inputs
from planner.request import SimulationRequest
from planner.tracing.fake import REAL_FLOATS_BUILDING, FakeExecution
from planner.tracing.mode import TracingMode
from planner.tracing.recorder import Recorder
from tests.planner.models.families import DECODER, FAMILIES

LLAMA = {"model_type": "llama", **DECODER}


def request(config=LLAMA, *, workload=None, strategy=None, **model):
    return check(
        SimulationRequest.model_validate(
            {
                "model": {"source": "transformers", "config": config, **model},
                "workload": {"batch_size": 2, "sequence_length": 16, **(workload or {})},
                "strategy": strategy or {},
            }
        )
    )


def build(asked):
    return build_model(asked.model, asked.workload, strategy=asked.strategy)


def build_fake(asked):
    """As the tracer builds: constants that a constructor reads are real, all else is fake."""
    execution = FakeExecution()
    context = torch._guards.TracingContext(execution.mode)
    with TracingMode(execution, Recorder(max_ops=1)), torch._guards.tracing(context):
        return build(asked)


def layout(model):
    return {
        name: (tuple(p.shape), p.dtype, p.requires_grad) for name, p in model.named_parameters()
    }


@pytest.mark.parametrize(
    ("model_type", "task", "fields", "workload"),
    FAMILIES,
    ids=[f"{family[0]}-{family[1]}-{index}" for index, family in enumerate(FAMILIES)],
)
def test_fake_and_real_models_have_the_same_parameters(model_type, task, fields, workload):
    asked = request({"model_type": model_type, **fields}, task=task, workload=workload)
    fake = build_fake(asked)
    assert layout(fake) == layout(build(asked))
    # Tensors that small may be constants that code reads, so the tracer keeps them real.
    assert all(
        isinstance(p, FakeTensor) for p in fake.parameters() if p.numel() > REAL_FLOATS_BUILDING
    )


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("fp32", torch.float32),
        ("bf16", torch.bfloat16),
        ("fp16", torch.float16),
        ("amp-bf16", torch.float32),
        ("amp-fp16", torch.float32),
    ],
)
def test_precision_decides_the_dtype_of_parameters(precision, dtype):
    config = {**LLAMA, "torch_dtype": "bfloat16"}
    model = build_fake(request(config, workload={"precision": precision}))
    assert {p.dtype for p in model.parameters()} == {dtype}


def test_tied_weights_are_one_parameter_on_fake_tensors_too():
    model = build_fake(request({**LLAMA, "tie_word_embeddings": True}))
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_real_weights_are_finite_and_follow_the_initialiser():
    config = {**LLAMA, "vocab_size": 40_000, "initializer_range": 0.05}
    model = build(request(config))
    weight = model.model.embed_tokens.weight
    assert weight.numel() > 1_000_003  # the large ones are filled from a block
    assert weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert torch.equal(model.model.norm.weight, torch.ones(DECODER["hidden_size"]))


def test_frozen_parameters_get_no_gradient():
    asked = request(freeze=["model.layers.0.*", "*.bias", "lm_head.weight"][0:1])
    model = build(asked)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in model.named_parameters() if n.startswith("model.layers.0.")}


def test_what_is_named_again_learns_beside_low_rank_adapters():
    asked = request(lora={"r": 2}, train=["*norm*"])
    model = build(asked)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "norm" in name for name in names)
    assert any("norm" in name for name in names)


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        build_fake(request(freeze=["model.layers.*", "transformer.*"]))
    assert [problem.pointer for problem in caught.value.errors] == ["/model/freeze/1"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("targets", [None, "all-linear", ["q_proj", "down_proj"]], ids=str)
def test_adapters_are_the_same_on_fake_and_real_tensors(precision, targets):
    asked = request(workload={"precision": precision}, lora={"r": 4, "target_modules": targets})
    real = build(asked)
    assert layout(build_fake(asked)) == layout(real)
    trainable = {name for name, p in real.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)


def test_targets_that_no_module_has_are_refused():
    with pytest.raises(InvalidRequest) as caught:
        build_fake(request(lora={"target_modules": ["c_attn"]}))
    assert caught.value.errors[0].pointer == "/model/lora/target_modules"
    assert "q_proj" in caught.value.errors[0].remedy


@pytest.mark.parametrize("lora", [None, {"r": 2}], ids=["plain", "lora"])
def test_checkpointed_steps_have_the_gradients_of_plain_ones(lora):
    gradients = []
    for checkpointing in ("none", "full"):
        asked = request(strategy={"checkpointing": checkpointing}, lora=lora)
        torch.manual_seed(0)
        model = build(asked)
        inputs = make_inputs(model, model.config, asked.model, asked.workload)
        model(**inputs).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    plain, checkpointed = gradients
    assert plain.keys() == checkpointed.keys()
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)


def test_checkpointing_recomputes_every_block():
    asked = request(strategy={"checkpointing": "full"})
    model = build(asked)
    assert all(layer.gradient_checkpointing for layer in model.model.layers)


def test_the_cache_is_for_generation_only():
    assert build_fake(request()).config.use_cache is False
    generation = request(workload={"mode": "generation", "new_tokens": 2})
    assert build_fake(generation).config.use_cache is True


def test_what_the_library_refuses_to_build_says_why():
    with pytest.raises(ModelBuildFailed) as caught:
        build_fake(request({"model_type": "dbrx"}))
    assert "rope_theta" in caught.value.detail
