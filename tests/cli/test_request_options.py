"""What the options of `simulate` and `run` make of a request, through the real command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.cli.application import application
from app.cli.errors import CliError, ExitCode
from planner.request import SimulationRequest


def request_of(*arguments, stdin=None):
    """The body that the command would POST, checked to be one that the service takes."""
    result = CliRunner().invoke(
        application, ["simulate", *arguments, "--print-request"], input=stdin
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    SimulationRequest.model_validate(body)
    return body


def test_a_model_type_alone_leaves_the_rest_to_the_service():
    assert request_of("--model-type", "gpt2") == {
        "model": {
            "source": "transformers",
            "config": {"model_type": "gpt2"},
            "task": "text-generation",
        }
    }


def test_every_workload_option_reaches_its_field():
    body = request_of(
        *("--model-type", "t5", "--task", "text2text-generation", "--attention", "eager"),
        *("--mode", "train", "-b", "4", "-s", "256", "--target-length", "64", "-p", "amp-bf16"),
        *("--optimizer", "sgd", "--optimizer-arg", "momentum=0.9", "--accumulate", "2"),
        *("--checkpointing", "full", "--device", "cpu", "--lora-rank", "4", "--freeze", "*.bias"),
        *("--train", "lm_head.*"),
    )
    assert body["workload"] == {
        "mode": "train",
        "batch_size": 4,
        "sequence_length": 256,
        "target_length": 64,
        "precision": "amp-bf16",
        "gradient_accumulation_steps": 2,
        "optimizer": {"name": "sgd", "momentum": 0.9},
    }
    assert body["strategy"] == {"checkpointing": "full"}
    assert body["device"] == "cpu"
    assert body["model"]["lora"] == {"r": 4}
    assert body["model"]["freeze"] == ["*.bias"]
    assert body["model"]["train"] == ["lm_head.*"]
    assert body["model"]["attention"] == "eager"


def test_generation_options():
    body = request_of(
        *("--model-type", "gpt2", "--mode", "generation", "--new-tokens", "8", "--cache", "static")
    )
    assert body["workload"] == {"mode": "generation", "new_tokens": 8, "cache": "static"}


def test_a_preset_is_a_description_of_its_own():
    assert request_of("--preset", "memoryformer", "--size", "paper")["model"] == {
        "source": "preset",
        "name": "memoryformer",
        "size": "paper",
    }


def test_options_override_a_whole_request_and_leave_the_rest_of_it(tmp_path):
    file = tmp_path / "request.json"
    file.write_text(
        json.dumps(
            {
                "model": {
                    "source": "transformers",
                    "task": "fill-mask",
                    "config": {"model_type": "bert", "num_hidden_layers": 12},
                },
                "workload": {"batch_size": 8, "optimizer": {"name": "sgd", "lr": 0.1}},
            }
        )
    )
    body = request_of(str(file), "--set", "num_hidden_layers=2", "-s", "64", "--optimizer", "adam")
    assert body["model"]["task"] == "fill-mask"
    assert body["model"]["config"] == {"model_type": "bert", "num_hidden_layers": 2}
    assert body["workload"] == {
        "batch_size": 8,
        "sequence_length": 64,
        "optimizer": {"name": "adam", "lr": 0.1},
    }


def test_a_configuration_from_standard_input_brings_its_task():
    config = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}
    body = request_of("-", stdin=json.dumps(config))
    assert body["model"] == {"source": "transformers", "config": config, "task": "fill-mask"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no model is named"),
        (["--preset", "x", "--model-type", "gpt2"], "leave out MODEL and --model-type"),
        (["--model-type", "gpt2", "--set", "n_layer"], "NAME=VALUE"),
        (["--model-type", "gpt2", "--optimizer-arg", "momentum"], "NAME=VALUE"),
    ],
)
def test_contradictions_are_usage_errors(arguments, complaint):
    with pytest.raises(CliError, match=complaint) as caught:
        request_of(*arguments)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments", [["--task", "juggling"], ["--precision", "fp7"], ["--batch-size", "many"]]
)
def test_a_value_that_is_no_choice_ends_with_the_usage_code(arguments):
    result = CliRunner().invoke(application, ["simulate", "--model-type", "gpt2", *arguments])
    assert result.exit_code == ExitCode.USAGE
