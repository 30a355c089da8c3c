"""Choices that change what is asked before anything is built."""

import pytest

from planner.errors import InvalidRequest
from planner.levers import effective
from planner.request import SimulationRequest
from planner.strategy import Strategy


def asked(strategy, **workload):
    return SimulationRequest.model_validate(
        {
            "model": {"source": "transformers", "config": {"model_type": "gpt2"}},
            "workload": {"batch_size": 12, "sequence_length": 8, **workload},
            "strategy": strategy,
        }
    )


def test_the_plain_strategy_changes_nothing():
    request = asked({})
    assert effective(request) == request


def test_micro_batches_split_the_batch_and_are_accumulated():
    found = effective(asked({"micro_batches": 4}, gradient_accumulation_steps=2))
    assert (found.workload.batch_size, found.workload.gradient_accumulation_steps) == (3, 8)
    assert found.strategy == Strategy()


def test_attention_and_precision_replace_those_that_were_asked():
    found = effective(asked({"attention": "sdpa", "precision": "amp-bf16"}))
    assert (found.model.attention, found.workload.precision) == ("sdpa", "amp-bf16")
    assert found.strategy == Strategy()


def test_what_is_applied_to_a_built_model_stays():
    units = [{"module": "transformer.h.0", "action": "recompute"}]
    kept = {"units": units, "loss_chunks": 4, "optimizer": {"implementation": "fused"}}
    found = effective(asked({**kept, "micro_batches": 2}))
    assert found.strategy == Strategy.model_validate(kept)


def test_putting_levers_in_place_twice_is_once():
    once = effective(asked({"micro_batches": 4, "precision": "bf16", "optimizer_states": "8bit"}))
    assert effective(once) == once


@pytest.mark.parametrize(
    ("states", "name", "kept"),
    [
        ("8bit", "adamw8bit", {"lr": 0.1, "betas": [0.5, 0.9], "weight_decay": 0.3}),
        ("factored", "adafactor", {"lr": 0.1}),
    ],
)
def test_smaller_states_keep_the_arguments_that_they_know(states, name, kept):
    optimizer = {"lr": 0.1, "betas": [0.5, 0.9], "weight_decay": 0.3, "foreach": True}
    request = asked({"optimizer_states": states}, optimizer={"name": "adamw", **optimizer})
    found = effective(request).workload.optimizer
    assert (found.name, found.arguments) == (name, kept)


@pytest.mark.parametrize(
    ("strategy", "workload", "pointer"),
    [
        ({"micro_batches": 5}, {}, "/strategy/micro_batches"),
        (
            {"optimizer_states": "8bit"},
            {"optimizer": {"name": "sgd"}},
            "/strategy/optimizer_states",
        ),
        (
            {"optimizer": {"in_backward": True}},
            {"gradient_accumulation_steps": 2},
            "/strategy/optimizer/in_backward",
        ),
        (
            {"optimizer": {"in_backward": True}, "micro_batches": 2},
            {},
            "/strategy/optimizer/in_backward",
        ),
        (
            {"optimizer": {"in_backward": True}, "precision": "amp-fp16"},
            {},
            "/strategy/optimizer/in_backward",
        ),
    ],
)
def test_contradictions_are_named_with_their_field(strategy, workload, pointer):
    with pytest.raises(InvalidRequest) as caught:
        effective(asked(strategy, **workload))
    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert all(error.remedy for error in caught.value.errors)
