"""What a configuration may contain, before the library sees it."""

from __future__ import annotations

import json

import pytest
from transformers import CONFIG_MAPPING

from planner.models.fields import default_config, field_problems, known_names

# Their own defaults name a package that fetches weights, or an attention implementation.
FETCHING = {"timm_backbone", "timm_wrapper", "gemma3n_vision"}


def defaults():
    for model_type in CONFIG_MAPPING:
        default = default_config(CONFIG_MAPPING[model_type])
        if default is not None and FETCHING.isdisjoint(_model_types(default.to_dict())):
            yield model_type, json.loads(default.to_json_string(use_diff=False))


def _model_types(fields):
    yield fields.get("model_type")
    for value in fields.values():
        if isinstance(value, dict):
            yield from _model_types(value)


def pointers(config):
    return [problem.pointer for problem in field_problems(config)]


def test_no_default_configuration_of_the_library_is_refused():
    refused = {
        model_type: problems
        for model_type, fields in defaults()
        if (
            problems := [
                problem.pointer
                for problem in field_problems(fields)
                if not problem.pointer.endswith("attn_implementation")
            ]
        )
    }
    # It hands its text part a field that no file of the library declares or reads.
    refused.pop("t5gemma2", None)
    assert refused == {}


def test_an_unknown_field_is_named_with_the_one_that_was_meant():
    (problem,) = field_problems({"model_type": "gpt2", "n_layers": 3})
    assert problem.pointer == "/model/config/n_layers"
    assert problem.remedy == 'did you mean "n_layer"?'


def test_an_unknown_field_of_a_nested_configuration_has_its_whole_pointer():
    config = {"model_type": "llava", "text_config": {"model_type": "llama", "hiden_size": 64}}
    assert pointers(config) == ["/model/config/text_config/hiden_size"]


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": True},
        {"custom_generate": "someone/somewhere"},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
        {"backbone": "resnet50"},
        {"use_timm_backbone": True},
        {"use_pretrained_backbone": True},
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation": "someone/kernel"},
        {"_attn_implementation_internal": "someone/kernel"},
        {"experts_implementation": "someone/kernel"},
        {"dtype": "evil"},
    ],
    ids=lambda fields: next(iter(fields)),
)
@pytest.mark.parametrize("nested", [False, True], ids=["top", "nested"])
def test_what_would_load_code_or_reach_a_hub_is_refused(fields, nested):
    name = next(iter(fields))
    config = {"model_type": "llava", "text_config": fields} if nested else fields
    expected = f"/model/config/text_config/{name}" if nested else f"/model/config/{name}"
    assert expected in pointers({"model_type": "detr", **config})


@pytest.mark.parametrize(
    ("model_type", "name", "value"),
    [
        ("llama", "num_hidden_layers", 10**9),
        ("gpt2", "n_layer", 10**9),
        ("llama", "hidden_size", -1),
        ("llama", "hidden_size", 0),
        ("llama", "num_attention_heads", 0),
        ("llama", "vocab_size", 10**12),
        ("llama", "max_position_embeddings", 10**12),
        ("bert", "num_labels", 10**9),
        ("vit", "image_size", 10**9),
        ("vit", "patch_size", 0),
        ("mixtral", "num_local_experts", 10**9),
    ],
)
def test_absurd_sizes_are_refused(model_type, name, value):
    assert pointers({"model_type": model_type, name: value}) == [f"/model/config/{name}"]


def test_sizes_within_lists_and_nested_configurations_are_bounded_too():
    assert pointers({"model_type": "swin", "depths": [2, 10**9]}) == ["/model/config/depths/1"]
    nested = {"model_type": "llava", "vision_config": {"hidden_size": 10**9}}
    assert pointers(nested) == ["/model/config/vision_config/hidden_size"]


@pytest.mark.parametrize(
    ("model_type", "fields"),
    [
        ("llama", {"rope_theta": 5e5, "rope_scaling": None, "pretraining_tp": 1}),
        ("bert", {"architectures": ["BertForMaskedLM"], "gradient_checkpointing": False}),
        ("bert", {"transformers_version": "4.6.0", "torch_dtype": "float32", "pad_token_id": 0}),
        ("bert", {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}),
        ("deberta-v2", {"position_buckets": 256, "norm_rel_ebd": "layer_norm"}),
        ("t5", {"decoder_start_token_id": 0, "task_specific_params": {"a": {"b": 1}}}),
        ("gpt2", {"hidden_size": 64, "n_ctx": 1024}),
    ],
)
def test_what_real_config_files_carry_is_accepted(model_type, fields):
    assert pointers({"model_type": model_type, **fields}) == []


def test_legacy_rotary_names_are_only_known_where_positions_are_rotary():
    assert "rope_theta" in known_names(CONFIG_MAPPING["llama"])
    assert "rope_theta" not in known_names(CONFIG_MAPPING["gpt2"])
