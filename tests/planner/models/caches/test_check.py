"""Cache policies that do not fit their request are refused, with the field and the reason."""

import pytest

from planner.check import check
from planner.errors import InvalidRequest
from planner.request import SimulationRequest
from tests.planner.requests import TINY

WINDOW = {"kind": "window", "window": 8}
THINK = {"kind": "think"}
QUANTIZED = {"kind": "quantized"}
GENERATION = {"mode": "generation", "new_tokens": 4, "sequence_length": 32}


def problems(kv_cache, model_type="llama", workload=None, task="text-generation", **model):
    config = model.pop("config", TINY.get(model_type, {}))
    body = {
        "model": {
            "source": "transformers", "task": task, **model,
            "config": {"model_type": model_type, **config},
        },
        "workload": workload or GENERATION,
        "strategy": {"kv_cache": kv_cache},
    }  # fmt: skip
    try:
        check(SimulationRequest.model_validate(body))
    except InvalidRequest as error:
        return {problem.pointer: problem.detail for problem in error.errors}
    return {}


@pytest.mark.parametrize("kv_cache", [WINDOW, THINK, QUANTIZED])
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "mixtral"])
def test_decoders_take_every_policy(kv_cache, model_type):
    assert problems(kv_cache, model_type) == {}


@pytest.mark.parametrize("mode", ["train", "inference"])
def test_only_generation_has_a_cache(mode):
    found = problems(WINDOW, workload={"mode": mode})
    assert found == {"/strategy/kv_cache": f"has a meaning only in generation, not in {mode}"}


@pytest.mark.parametrize("cache", ["static", "none"])
def test_a_policy_takes_the_place_of_the_cache(cache):
    assert (
        "takes the place"
        in problems(WINDOW, workload={**GENERATION, "cache": cache})["/strategy/kv_cache"]
    )


def test_encoder_decoders_are_refused():
    assert (
        "text-generation"
        in problems(QUANTIZED, "t5", task="text2text-generation")["/strategy/kv_cache"]
    )


@pytest.mark.parametrize("model_type", ["mamba", "rwkv"])
def test_models_without_keys_and_values_are_refused(model_type):
    assert "/strategy/kv_cache" in problems(QUANTIZED, model_type)


def test_a_window_is_refused_where_distance_is_counted_in_the_cache():
    assert (
        "distance"
        in problems(WINDOW, "bloom", config={"hidden_size": 64, "n_head": 4})[
            "/strategy/kv_cache/kind"
        ]
    )


def test_think_needs_attention_that_can_be_chosen():
    assert "/strategy/kv_cache/kind" in problems(THINK, attention="eager")
    falcon = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    assert "/strategy/kv_cache/kind" in problems(THINK, "falcon", config=falcon)


def test_short_windows_of_the_model_itself_leave_nothing_to_do():
    short = {**TINY["llama"], "sliding_window": 16}
    assert (
        "holds all 36 tokens" in problems(QUANTIZED, "mistral", config=short)["/strategy/kv_cache"]
    )
    assert problems(QUANTIZED, "mistral", config={**short, "sliding_window": 64}) == {}
