"""The tensors of one step, as the library's own trainer would feed them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from planner.models.build import parameter_dtype
from planner.models.image_text import image_text_inputs
from planner.models.samples import Samples, vocabulary_size
from planner.models.sound import sound_inputs
from planner.models.vision import class_labels, image_inputs
from planner.request import TransformersModel, Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Inputs = dict[str, Any]

_CHOICES = 4  # answers of a multiple-choice question, as in SWAG and RACE
_IMAGE_TASKS = frozenset({"image-classification", "image-segmentation", "object-detection"})
_SOUND_TASKS = frozenset({"automatic-speech-recognition", "audio-classification"})


def make_inputs(
    model: nn.Module,
    config: PreTrainedConfig,
    description: TransformersModel,
    workload: Workload,
    device: str | torch.device = "cpu",
) -> Inputs:
    """Inputs of one forward call; ids, masks and labels carry real, valid values.

    Training gets labels; generation gets what `generate` takes.

    Raises:
        InvalidRequest: the sequence has no room for the image's tokens, or the model's inputs are
            of a kind that Headroom cannot make.
    """
    samples = Samples(
        model=model,
        config=config,
        named=parameters_of(model),
        batch=workload.batch_size,
        dtype=parameter_dtype(workload.precision),
        device=torch.device(device),
    )
    make = _maker(samples.named, description.task)
    inputs = make(samples, description.task, workload)
    return {name: value for name, value in inputs.items() if name in samples.named}


def _maker(named: frozenset[str], task: str) -> Callable[[Samples, str, Workload], Inputs]:
    if task == "image-text-to-text":
        return image_text_inputs
    if task in _SOUND_TASKS:
        return sound_inputs
    if task in _IMAGE_TASKS:
        return image_inputs if named & {"pixel_values", "inputs"} else _pixel_ids
    if "input_ids" in named:
        return _text
    return sound_inputs if named & {"input_features", "input_values"} else image_inputs


def _text(samples: Samples, task: str, workload: Workload) -> Inputs:
    length = workload.sequence_length
    inputs: Inputs = {
        "input_ids": samples.ids(length),
        "attention_mask": samples.ones(samples.batch, length),
    }
    _end_with_eos(samples.config, task, inputs["input_ids"])
    if "bbox" in samples.named:
        inputs["bbox"] = _boxes_of_words(samples, length)
    if samples.config.model_type == "git":  # its loss counts the image's tokens away
        inputs |= image_inputs(samples, "feature-extraction", workload)
    if workload.mode == "train":
        inputs |= text_labels(samples, task, inputs["input_ids"], workload)
    elif workload.mode == "inference" and _needs_decoder_ids(samples):
        inputs["decoder_input_ids"] = samples.ids(workload.target_length or length)
    if task == "multiple-choice":
        choices = ("input_ids", "attention_mask", "bbox")
        inputs |= {
            name: inputs[name].unsqueeze(1).repeat(1, _CHOICES, *[1] * (inputs[name].dim() - 1))
            for name in choices
            if name in inputs
        }
    return inputs


def _needs_decoder_ids(samples: Samples) -> bool:
    return samples.config.is_encoder_decoder and "decoder_input_ids" in samples.named


def _end_with_eos(config: PreTrainedConfig, task: str, ids: Tensor) -> None:
    """Encoder-decoders classify a text at its one end-of-sequence token."""
    eos = getattr(config, "eos_token_id", None)
    if task == "text-classification" and config.is_encoder_decoder and isinstance(eos, int):
        ids[:, -1] = eos


def _boxes_of_words(samples: Samples, length: int) -> Tensor:
    """[batch, length, 4] boxes x0 <= x1, y0 <= y1 on the 0-1000 page of document models."""
    corner = samples.integers((samples.batch, length, 2), 500)
    return torch.cat([corner, corner + 100], dim=-1)


def text_labels(samples: Samples, task: str, ids: Tensor, workload: Workload) -> Inputs:
    """What the task's loss compares with."""
    if task == "text2text-generation" and samples.config.is_encoder_decoder:
        return {"labels": samples.ids(workload.target_length or workload.sequence_length)}
    if task in ("text-classification", "multiple-choice"):
        choices = _CHOICES if task == "multiple-choice" else None
        return {"labels": class_labels(samples, choices)}
    if task == "token-classification":
        return {"labels": samples.integers(tuple(ids.shape), samples.config.num_labels or 2)}
    if task == "question-answering":
        return {
            "start_positions": samples.integers((samples.batch,), ids.shape[1]),
            "end_positions": samples.integers((samples.batch,), ids.shape[1]),
        }
    if task == "feature-extraction":
        return {}
    return {"labels": ids.clone()}


def _pixel_ids(samples: Samples, task: str, workload: Workload) -> Inputs:
    """Models that read pixels as tokens of a colour palette."""
    positions = getattr(samples.config, "n_positions", workload.sequence_length)
    size = (samples.batch, positions)
    inputs: Inputs = {"input_ids": samples.integers(size, vocabulary_size(samples.config) - 1)}
    if workload.mode == "train":
        inputs["labels"] = class_labels(samples)
    return inputs


def parameters_of(model: nn.Module) -> frozenset[str]:
    """Names that the model's forward takes; adapters are looked through."""
    wrapper: Any = model
    base = wrapper.get_base_model() if isinstance(model, _peft_model()) else wrapper
    return frozenset(inspect.signature(base.forward).parameters)


def _peft_model() -> type | tuple[()]:
    """peft's wrapper, where it has been imported: without it there are no adapters."""
    peft = sys.modules.get("peft")
    return () if peft is None else peft.PeftModel
