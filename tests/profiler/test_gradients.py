"""Planned and unplanned gradients, and strategies that are broken on purpose."""

import pytest
import torch

from planner.apply.recompute import Recompute
from planner.step import prepare
from planner.strategy import Strategy
from profiler.gradients import NotComparable, compare_gradients, compare_on
from tests.planner.requests import request
from tests.profiler.planned import CLOSE, SAME, TEXT, case, planned, recompute

GPT2 = planned("gpt2", TEXT, {"units": recompute("transformer.h.0")})


@pytest.mark.parametrize("name", SAME)
def test_the_same_arithmetic_gives_the_same_numbers(name):
    found = compare_gradients(case(name))
    assert found.match
    assert found.bitwise, found
    assert found.loss_difference == found.largest_relative_difference == 0.0


@pytest.mark.parametrize("name", CLOSE)
def test_sums_in_another_order_stay_within_the_tolerance(name):
    found = compare_gradients(case(name))
    assert found.match, found
    assert not found.bitwise
    assert 0 < found.largest_relative_difference <= found.tolerance


def test_every_parameter_is_compared_and_dropout_is_active():
    found = compare_gradients(GPT2)
    job = prepare(GPT2)
    assert found.parameters == len(list(job.model.parameters()))
    assert found.dropout
    still = planned("gpt2", TEXT, {}, config={f"{k}_pdrop": 0.0 for k in ("resid", "embd", "attn")})
    assert not compare_gradients(still).dropout


def test_a_step_in_backward_is_left_out_and_said():
    asked = planned("gpt2", TEXT, {"optimizer": {"in_backward": True}})
    found = compare_gradients(asked)
    assert found.match
    assert "in backward" in found.note


def without_random_state(wrapper, module, forward, args, kwargs):
    """Recomputation that draws other dropout masks."""
    return torch.utils.checkpoint.checkpoint(
        forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs
    )


def scaled(wrapper, module, forward, args, kwargs):
    """A forward whose output is a thousandth too large."""
    output = forward(*args, **kwargs)
    return (output[0] * 1.001, *output[1:]) if isinstance(output, tuple) else output * 1.001


def detached(wrapper, module, forward, args, kwargs):
    """A forward without gradients for what lies inside."""
    with torch.no_grad():
        output = forward(*args, **kwargs)
    hidden = output[0] if isinstance(output, tuple) else output
    hidden = hidden + args[0] - args[0].detach()
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


@pytest.mark.parametrize("broken", [without_random_state, scaled, detached])
def test_a_broken_strategy_is_caught(monkeypatch, broken):
    monkeypatch.setattr(Recompute, "__call__", broken)
    found = compare_gradients(GPT2)
    assert not found.match
    assert not found.bitwise
    assert found.largest_relative_difference > found.tolerance


def test_numbers_that_are_not_finite_are_no_match(monkeypatch):
    monkeypatch.setattr(
        Recompute,
        "__call__",
        lambda wrapper, module, forward, args, kwargs: forward(args[0] * float("nan"), *args[1:]),
    )
    found = compare_gradients(GPT2)
    assert not found.match
    assert found.loss_difference is None
    assert found.largest_relative_difference is None


def test_the_job_is_left_as_it_was():
    job = prepare(request("resnet", "image-classification", image_size=64))
    before = {name: buffer.clone() for name, buffer in job.model.named_buffers()}
    classes = [type(module) for module in job.model.modules()]
    strategy = Strategy.model_validate({"units": recompute("resnet.encoder.stages.0")})
    first = compare_on(job, strategy, "fp32")
    assert first.bitwise
    assert [type(module) for module in job.model.modules()] == classes
    assert all(parameter.grad is None for parameter in job.model.parameters())
    # The planned step counted one batch, as the unplanned one did from the same statistics.
    for name, buffer in job.model.named_buffers():
        if name.endswith("num_batches_tracked"):
            assert buffer == before[name] + 1


def test_gradients_are_nothing_to_compare_without_training():
    with pytest.raises(NotComparable, match="training"):
        compare_gradients(request("gpt2", mode="inference"))


def test_a_reference_that_is_not_finite_is_no_reference():
    job = prepare(GPT2.model_copy(update={"strategy": Strategy()}))
    with torch.no_grad():
        next(job.model.parameters()).fill_(float("inf"))
    with pytest.raises(NotComparable, match="finite"):
        compare_on(job, GPT2.strategy, "fp32")
