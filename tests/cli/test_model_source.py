from __future__ import annotations

import io

import pytest
from transformers import AutoConfig

from app.cli.errors import CliError, ExitCode
from app.cli.model_source import assign, guess_task, is_request, read_document


def test_a_saved_model_folder_is_read_through_its_config_json(tmp_path):
    AutoConfig.for_model("gpt2", n_layer=3).save_pretrained(tmp_path)
    document = read_document(str(tmp_path))
    assert document["model_type"] == "gpt2"
    assert document["n_layer"] == 3


def test_a_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('{"model_type": "bert"}'))
    assert read_document("-") == {"model_type": "bert"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{not json", "no valid JSON"),
        (b"[1, 2]", "no JSON object but list"),
        (b"[" * 100_000, "no valid JSON"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_what_is_no_json_object_is_a_usage_error_naming_the_file(tmp_path, content, complaint):
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(CliError, match=complaint) as caught:
        read_document(str(file))
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(file) in caught.value.message


def test_a_hub_name_is_answered_with_what_to_do_instead():
    with pytest.raises(CliError, match="a hub is never asked"):
        read_document("meta-llama/Llama-3.1-8B")


def test_a_request_is_told_from_a_configuration():
    assert is_request({"model": {"source": "preset", "name": "x"}})
    assert not is_request({"model_type": "gpt2", "model": {}})
    assert not is_request({"model_type": "gpt2"})


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("n_layer=6", {"n_layer": 6}),
        ("tie_word_embeddings=false", {"tie_word_embeddings": False}),
        ("activation_function=gelu", {"activation_function": "gelu"}),
        ("text_config.num_hidden_layers=2", {"text_config": {"num_hidden_layers": 2}}),
        ("layer_types=[1, 2]", {"layer_types": [1, 2]}),
        ("name=a=b", {"name": "a=b"}),
    ],
)
def test_set_takes_json_else_a_string_and_reaches_into_sections(assignment, expected):
    config: dict = {}
    assign(config, assignment)
    assert config == expected


@pytest.mark.parametrize("assignment", ["n_layer", "=6", "n_layer.x=6"])
def test_set_refuses_what_it_cannot_place(assignment):
    with pytest.raises(CliError) as caught:
        assign({"n_layer": 1}, assignment)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("config", "task"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "text-generation"),
        ({"architectures": ["LlamaForCausalLM"]}, "text-generation"),
        ({"architectures": ["BertForMaskedLM"]}, "fill-mask"),
        ({"architectures": ["ViTForImageClassification"]}, "image-classification"),
        ({"architectures": ["T5ForConditionalGeneration"]}, "text2text-generation"),
        (
            {"architectures": ["WhisperForConditionalGeneration"], "num_mel_bins": 80},
            "automatic-speech-recognition",
        ),
        (
            {"architectures": ["LlavaForConditionalGeneration"], "vision_config": {}},
            "image-text-to-text",
        ),
        ({"architectures": ["SomethingElse"]}, None),
        ({"architectures": "BertForMaskedLM"}, None),
        ({}, None),
    ],
)
def test_the_task_is_read_from_the_architectures(config, task):
    assert guess_task(config) == task
