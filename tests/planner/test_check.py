"""A bad request is refused at once, with every problem named and a remedy for each."""

from __future__ import annotations

import pytest

from planner.check import check
from planner.errors import InvalidRequest
from planner.models.tasks import TASKS, class_names
from planner.request import SimulationRequest

LLAMA = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4}
GPT2 = {"model_type": "gpt2"}


def request(config=None, *, task="text-generation", workload=None, strategy=None, **model):
    return SimulationRequest.model_validate(
        {
            "model": {
                "source": "transformers",
                "task": task,
                "config": config or GPT2,
                **model,
            },
            "workload": {"batch_size": 2, "sequence_length": 32, **(workload or {})},
            "strategy": strategy or {},
        }
    )


def problems(*args, **kwargs):
    with pytest.raises(InvalidRequest) as caught:
        check(request(*args, **kwargs))
    assert all(problem.remedy for problem in caught.value.errors)
    return {problem.pointer: problem for problem in caught.value.errors}


def test_a_good_request_comes_back_as_it_was():
    asked = request()
    assert check(asked) == asked


@pytest.mark.parametrize("task", TASKS)
def test_a_bare_model_type_of_every_task_passes_or_names_the_workload(task):
    """What the library allows by default is only refused for lengths that the workload decides."""
    refused = {}
    for model_type in class_names(task):
        try:
            check(request({"model_type": model_type}, task=task))
        except InvalidRequest as error:
            refused[model_type] = {problem.pointer for problem in error.errors}
    by_configuration = {
        model_type
        for model_type, found in refused.items()
        if "/workload/sequence_length" not in found
    }
    # Their default configurations are invalid by the library's own validators, or need timm.
    assert by_configuration <= {"gemma4_assistant", "nougat", "timm_backbone", "timm_wrapper"}


def test_an_unknown_model_type_is_refused_with_a_suggestion():
    found = problems({"model_type": "lama"})
    assert "llama" in found["/model/config/model_type"].remedy


def test_a_task_that_the_model_type_lacks_lists_those_it_has():
    found = problems(GPT2, task="image-classification")
    assert "text-generation" in found["/model/task"].remedy


def test_a_wrong_type_names_its_field():
    assert list(problems({**GPT2, "n_layer": "3"})) == ["/model/config/n_layer"]


@pytest.mark.parametrize(
    ("task", "config", "pointer"),
    [
        ("text-generation", {**LLAMA, "num_attention_heads": 7}, "num_attention_heads"),
        ("text-generation", {**LLAMA, "num_key_value_heads": 3}, "num_key_value_heads"),
        ("text-generation", {**GPT2, "n_head": 7}, "n_head"),
        ("fill-mask", {"model_type": "bert", "num_attention_heads": 7}, "num_attention_heads"),
        ("fill-mask", {"model_type": "distilbert", "n_heads": 7}, "n_heads"),
        (
            "text2text-generation",
            {"model_type": "bart", "decoder_attention_heads": 7},
            "decoder_attention_heads",
        ),
        ("image-classification", {"model_type": "vit", "num_attention_heads": 7}, None),
        ("image-classification", {"model_type": "swin", "num_heads": [3, 6, 12, 7]}, "num_heads/3"),
        ("image-classification", {"model_type": "vit", "image_size": 225}, "image_size"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(task, config, pointer):
    expected = pointer or "num_attention_heads"
    assert list(problems(config, task=task)) == [f"/model/config/{expected}"]


def test_an_explicit_head_width_frees_heads_from_dividing_the_width():
    config = {"model_type": "qwen3", "hidden_size": 100, "num_attention_heads": 8, "head_dim": 32}
    check(request({**config, "num_key_value_heads": 8}))


@pytest.mark.parametrize(
    ("task", "model_type", "limit"),
    [
        ("text-generation", "gpt2", 1024),
        ("text-generation", "llama", 2048),
        ("fill-mask", "bert", 512),
        ("fill-mask", "longformer", 510),
        ("fill-mask", "roberta", 510),
    ],
)
def test_a_sequence_beyond_the_positions_is_refused_and_one_that_fills_them_passes(
    task, model_type, limit
):
    config = {"model_type": model_type}
    check(request(config, task=task, workload={"sequence_length": limit}))
    found = problems(config, task=task, workload={"sequence_length": limit + 1})
    assert str(limit) in found["/workload/sequence_length"].remedy


def test_new_tokens_count_against_the_positions():
    workload = {"mode": "generation", "sequence_length": 1000, "new_tokens": 24}
    check(request(workload=workload))
    assert "/workload/sequence_length" in problems(workload={**workload, "new_tokens": 25})


def test_models_without_positions_take_any_length():
    for task, model_type in (
        ("text-generation", "mamba"),
        ("text-generation", "bloom"),
        ("text2text-generation", "t5"),
    ):
        check(request({"model_type": model_type}, task=task, workload={"sequence_length": 100_000}))


def test_reformer_trains_on_the_product_of_its_axial_shape_only():
    config = {"model_type": "reformer", "axial_pos_shape": [4, 8]}
    check(request(config, task="fill-mask"))
    assert "/workload/sequence_length" in problems(
        config, task="fill-mask", workload={"sequence_length": 31}
    )


@pytest.mark.parametrize(
    ("optimizer", "pointer"),
    [
        ({"name": "lamb"}, "name"),
        ({"name": "lbfgs"}, "name"),
        ({"name": "sparseadam"}, "name"),
        ({"name": "muon"}, "name"),
        ({"name": "adamw", "foreech": True}, "foreech"),
        ({"name": "adamw", "lr": "fast"}, "lr"),
        ({"name": "adamw", "lr": -1}, "lr"),
        ({"name": "adam", "betas": [0.9]}, "betas"),
        ({"name": "adam", "betas": [0.9, 1.5]}, "betas"),
        ({"name": "adamw", "differentiable": True}, "differentiable"),
        ({"name": "sgd", "momentum": True}, "momentum"),
    ],
    ids=str,
)
def test_optimizers_and_arguments_that_torch_has_not_are_refused(optimizer, pointer):
    assert list(problems(workload={"optimizer": optimizer})) == [f"/workload/optimizer/{pointer}"]


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adamw", "fused": True, "weight_decay": 0},
        {"name": "adam", "betas": [0.9, 0.95], "foreach": False},
        {"name": "sgd", "momentum": 0.9, "nesterov": True, "lr": 1},
        {"name": "adafactor", "eps": [None, 0.001]},
        {"name": "rmsprop", "centered": True},
    ],
    ids=str,
)
def test_arguments_that_torch_has_are_accepted(optimizer):
    check(request(workload={"optimizer": optimizer}))


def test_implementations_that_the_class_lacks_are_refused():
    assert "/model/attention" in problems({"model_type": "mamba"}, attention="sdpa")
    assert "/model/experts" in problems(GPT2, experts="eager")
    assert "/strategy/checkpointing" in problems(
        {"model_type": "resnet"}, task="image-classification", strategy={"checkpointing": "full"}
    )


def test_only_models_that_generate_generate():
    workload = {"mode": "generation", "new_tokens": 3}
    assert "/workload/mode" in problems({"model_type": "bert"}, task="fill-mask", workload=workload)


def test_a_target_length_needs_a_target():
    assert "/workload/target_length" in problems(workload={"target_length": 8})


def test_adapters_without_default_targets_ask_for_them():
    assert "/model/lora/target_modules" in problems({"model_type": "mamba"}, lora={})
    check(request({"model_type": "mamba"}, lora={"target_modules": "all-linear"}))


def test_all_problems_are_named_at_once():
    found = problems(
        {**GPT2, "n_layers": 2, "auto_map": {}},
        workload={"optimizer": {"name": "lamb"}},
        freeze=["transformer h.0"],
        lora={"target_modules": ["not a name"]},
    )
    assert found.keys() == {
        "/model/config/n_layers",
        "/model/config/auto_map",
        "/workload/optimizer/name",
        "/model/freeze/0",
        "/model/lora/target_modules/0",
    }
