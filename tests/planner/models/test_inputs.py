"""Inputs are what the library's trainer would feed: names, shapes, dtypes, valid values."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from planner.check import check
from planner.errors import InvalidRequest
from planner.models.build import build_model
from planner.models.inputs import make_inputs
from planner.request import SimulationRequest
from tests.planner.models.families import BART, DECODER, ENCODER, FAMILIES, T5, VISION


def inputs_of(model_type, task="text-generation", fields=None, **workload):
    request = check(
        SimulationRequest.model_validate(
            {
                "model": {
                    "source": "transformers",
                    "task": task,
                    "config": {"model_type": model_type, **(fields or {})},
                },
                "workload": {"batch_size": 2, "sequence_length": 16, **workload},
            }
        )
    )
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = build_model(request.model, request.workload)
    return make_inputs(model, model.config, request.model, request.workload), model.config


def shapes(inputs):
    return {name: (tuple(value.shape), value.dtype) for name, value in inputs.items()}


INT = torch.int64


def test_text_generation_trains_on_ids_an_all_ones_mask_and_labels():
    inputs, _ = inputs_of("llama", fields=DECODER)
    assert shapes(inputs) == {
        "input_ids": ((2, 16), INT),
        "attention_mask": ((2, 16), INT),
        "labels": ((2, 16), INT),
    }
    assert inputs["attention_mask"].eq(1).all()
    assert inputs["labels"] is not inputs["input_ids"]


@pytest.mark.parametrize("mode", ["inference", "generation"])
def test_only_training_gets_labels(mode):
    further = {"new_tokens": 2} if mode == "generation" else {}
    inputs, _ = inputs_of("llama", fields=DECODER, mode=mode, **further)
    assert inputs.keys() == {"input_ids", "attention_mask"}


def test_a_model_without_a_mask_gets_none():
    inputs, _ = inputs_of("fnet", "fill-mask")
    assert "attention_mask" not in inputs


def test_labels_of_encoder_decoders_have_the_targets_length():
    inputs, _ = inputs_of("t5", "text2text-generation", T5, target_length=5)
    assert shapes(inputs)["labels"] == ((2, 5), INT)
    default, _ = inputs_of("t5", "text2text-generation", T5)
    assert shapes(default)["labels"] == ((2, 16), INT)


def test_encoder_decoders_infer_with_ids_for_the_decoder():
    inputs, _ = inputs_of("bart", "text2text-generation", BART, mode="inference", target_length=5)
    assert shapes(inputs)["decoder_input_ids"] == ((2, 5), INT)
    assert "labels" not in inputs


def test_whisper_hears_what_its_positions_say_and_writes_the_target():
    fields = {
        **BART,
        "decoder_start_token_id": 0,
        "num_mel_bins": 8,
        "max_source_positions": 16,
        "max_target_positions": 32,
    }
    inputs, _ = inputs_of("whisper", "automatic-speech-recognition", fields, precision="bf16")
    assert shapes(inputs) == {
        "input_features": ((2, 8, 32), torch.bfloat16),
        "labels": ((2, 16), INT),
    }


def test_images_are_of_the_configurations_size_and_the_models_dtype():
    inputs, _ = inputs_of("vit", "image-classification", VISION, precision="fp16")
    assert shapes(inputs) == {
        "pixel_values": ((2, 3, 32, 32), torch.float16),
        "labels": ((2,), INT),
    }


def test_the_workloads_image_size_becomes_the_configurations():
    fields = {name: value for name, value in VISION.items() if name != "image_size"}
    inputs, config = inputs_of("vit", "image-classification", fields, image_size=64)
    assert config.image_size == 64
    assert shapes(inputs)["pixel_values"] == ((2, 3, 64, 64), torch.float32)


def test_two_image_sizes_that_contradict_each_other_are_refused():
    with pytest.raises(InvalidRequest) as caught:
        inputs_of("vit", "image-classification", VISION, image_size=64)
    assert caught.value.errors[0].pointer == "/workload/image_size"


def test_a_regression_gets_numbers_for_labels():
    inputs, _ = inputs_of("bert", "text-classification", {**ENCODER, "num_labels": 1})
    assert inputs["labels"].dtype == torch.float32


def test_multiple_choice_has_four_texts_a_sample():
    inputs, _ = inputs_of("bert", "multiple-choice", ENCODER)
    assert shapes(inputs)["input_ids"] == ((2, 4, 16), INT)
    assert shapes(inputs)["labels"] == ((2,), INT)


def test_detection_labels_are_boxes_within_the_image():
    inputs, _ = inputs_of("yolos", "object-detection", {**VISION, "image_size": [32, 32]})
    for objects in inputs["labels"]:
        centre, size = objects["boxes"][:, :2], objects["boxes"][:, 2:]
        assert (centre - size / 2).ge(0).all()
        assert (centre + size / 2).le(1).all()
        assert objects["class_labels"].dtype == INT


@pytest.mark.parametrize(
    ("model_type", "task", "fields", "workload"),
    [family for family in FAMILIES if family[1] == "image-text-to-text"],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_image_takes_its_place_in_the_text_and_is_not_learned(
    model_type, task, fields, workload
):
    inputs, config = inputs_of(model_type, task, fields, **workload)
    image = inputs["input_ids"].eq(config.image_token_id)
    assert image.sum(dim=1).tolist() == [16, 16]  # 4 x 4 patches, merged or not
    assert inputs["labels"][image].eq(-100).all()


def test_a_text_too_short_for_its_image_is_refused():
    _, task, fields, _ = next(family for family in FAMILIES if family[0] == "llava")
    with pytest.raises(InvalidRequest) as caught:
        inputs_of("llava", task, fields, sequence_length=16)
    assert caught.value.errors[0].pointer == "/workload/sequence_length"


def test_ids_are_of_the_vocabulary_and_never_special():
    fields = {
        **DECODER,
        "vocab_size": 8,
        "bos_token_id": 1,
        "eos_token_id": [2, 5],
        "pad_token_id": 0,
    }
    inputs, _ = inputs_of("llama", fields=fields, sequence_length=256)
    assert set(inputs["input_ids"].unique().tolist()) == {3, 4, 6, 7}


def test_the_same_request_gives_the_same_ids():
    first, _ = inputs_of("llama", fields=DECODER)
    second, _ = inputs_of("llama", fields=DECODER)
    assert torch.equal(first["input_ids"], second["input_ids"])
