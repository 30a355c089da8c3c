"""Tapes of real steps: their invariants, and numbers known from the model's formula."""

import pytest
import torch

from planner.devices import BUILTIN
from planner.errors import LimitExceeded
from planner.simulation import simulate
from planner.tape import Category, OpFlag
from planner.trace import trace
from tests.planner.requests import request
from tests.planner.tapes import check_tape

CPU = BUILTIN["cpu"]


def bytes_of(tape, category):
    return int(tape.storage_bytes[tape.storage_category == category].sum())


@pytest.fixture(scope="module")
def gpt2():
    return trace(request("gpt2"), CPU)


def test_two_steps_with_their_phases(gpt2):
    check_tape(gpt2)
    parts = ("forward", "backward", "optimizer_step", "zero_grad")
    assert gpt2.phases == [f"step{step}.{part}" for step in (0, 1) for part in parts]


def test_categories_are_the_models_own_numbers(gpt2):
    parameters = gpt2.meta["parameter_count"] * 4
    assert bytes_of(gpt2, Category.parameters) == parameters
    assert bytes_of(gpt2, Category.gradients) == 2 * parameters  # one set in each step
    tensors = sum(name.endswith(".step") for name in gpt2.names)
    assert bytes_of(gpt2, Category.optimizer_state) == 2 * parameters + 4 * tensors
    assert bytes_of(gpt2, Category.inputs) == 3 * 2 * 32 * 8  # ids, mask and labels, int64


def test_after_the_last_step_only_what_persists_is_alive(gpt2):
    alive = gpt2.alive_at(len(gpt2.events) - 1)
    kinds = {Category(kind) for kind in gpt2.storage_category[alive]}
    assert kinds == {
        Category.parameters, Category.optimizer_state, Category.inputs,
    } or kinds == {
        Category.parameters, Category.optimizer_state, Category.inputs, Category.buffers,
    }  # fmt: skip


def test_backward_ops_belong_to_the_module_that_they_differentiate(gpt2):
    backward = gpt2.phases.index("step1.backward")
    modules = {gpt2.modules[m] for m in gpt2.op_module[gpt2.op_phase == backward]}
    assert {"transformer.h.0.mlp.c_fc", "transformer.h.1.attn.c_attn", "lm_head"} <= modules


def test_flops_of_a_training_step_are_three_forwards(gpt2):
    forward, backward = (
        int(gpt2.op_flops[gpt2.op_phase == gpt2.phases.index(f"step1.{part}")].sum())
        for part in ("forward", "backward")
    )
    assert simulate(gpt2).step_flops == forward + backward
    # Each product has two in backward; GPT-2's dropout keeps attention on the same rule (no flash).
    assert backward == 2 * forward


def test_checkpointing_recomputes_and_saves_less(gpt2):
    tape = trace(request("gpt2", checkpointing="full"), CPU)
    check_tape(tape)
    recomputed = (tape.op_flags & OpFlag.recompute) > 0
    assert recomputed.any()
    assert not ((gpt2.op_flags & OpFlag.recompute) > 0).any()
    assert set(tape.op_phase[recomputed]) == {
        tape.phases.index("step0.backward"), tape.phases.index("step1.backward"),
    }  # fmt: skip
    ends = [simulate(t).phases[0].end_bytes for t in (tape, gpt2)]
    assert ends[0] < ends[1]


def test_accumulation_has_a_phase_for_each_micro_batch():
    tape = trace(request("gpt2", gradient_accumulation_steps=2), CPU)
    check_tape(tape)
    assert tape.phases[:4] == [
        "step0.micro0.forward", "step0.micro0.backward",
        "step0.micro1.forward", "step0.micro1.backward",
    ]  # fmt: skip
    assert bytes_of(tape, Category.gradients) == 2 * tape.meta["parameter_count"] * 4


def test_a_growing_cache_and_a_static_one():
    dynamic, static = (
        simulate(trace(request("llama", mode="generation", new_tokens=5, cache=cache), CPU))
        for cache in ("dynamic", "static")
    )
    assert [phase.name for phase in dynamic.phases] == ["step0.prefill", "step0.decode"]
    assert dynamic.at_peak.gradients == static.at_peak.gradients == 0
    assert dynamic.peak_bytes != static.peak_bytes


def test_adapters_train_alone():
    tape = trace(request("llama", model={"lora": {"r": 4}}), CPU)
    trainable = tape.meta["trainable_parameter_count"]
    assert 0 < trainable < tape.meta["parameter_count"] / 10
    assert bytes_of(tape, Category.gradients) == 2 * trainable * 4


@pytest.mark.parametrize("model_type", ["mamba", "mixtral", "t5"])
def test_data_dependent_models_trace(model_type):
    task = "text2text-generation" if model_type == "t5" else "text-generation"
    check_tape(trace(request(model_type, task), CPU))


def test_tracing_leaves_nothing_behind():
    call = torch.nn.Module.__call__
    trace(request("gpt2", mode="inference"), CPU)
    assert torch.nn.Module.__call__ is call
    assert torch.get_rng_state is torch.random.get_rng_state
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()


def test_too_many_ops_are_refused():
    with pytest.raises(LimitExceeded, match="more than 100 ops"):
        trace(request("gpt2"), CPU, max_ops=100)


def test_the_same_request_gives_the_same_tape(gpt2):
    again = trace(request("gpt2"), CPU)
    assert again.events.tolist() == gpt2.events.tolist()
    assert again.storage_bytes.tolist() == gpt2.storage_bytes.tolist()
