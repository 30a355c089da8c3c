"""Inputs of models that hear: waveforms or spectrograms, and their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from planner.models.samples import Samples
from planner.models.vision import class_labels
from planner.request import Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Inputs = dict[str, Any]

# Width of a spectrogram's frame, by the names that configurations have for it.
_FEATURES = ("num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "input_dim")


def sound_inputs(samples: Samples, task: str, workload: Workload) -> Inputs:
    """Sound, and in training what was said or what it is.

    The time axis of a waveform or spectrogram has `sequence_length` entries, except where the
    architecture fixes it (whisper: 2 x max_source_positions frames; AST: max_length frames).
    """
    inputs = _sound(samples, workload)
    train = workload.mode == "train"
    if task == "audio-classification":
        return inputs | ({"labels": class_labels(samples)} if train else {})
    if task != "automatic-speech-recognition":
        return inputs
    length = workload.target_length or workload.sequence_length
    if not samples.config.is_encoder_decoder:
        length = workload.target_length or _frames(samples.model, inputs, length)
    if train:
        return inputs | {"labels": samples.ids(length)}
    if workload.mode == "inference" and "decoder_input_ids" in samples.named:
        return inputs | {"decoder_input_ids": samples.ids(length)}
    return inputs


def _sound(samples: Samples, workload: Workload) -> Inputs:
    config = _hearing_part(samples.config)
    if "input_features" in samples.named:
        width = _feature_width(config)
        if hasattr(config, "max_source_positions") and hasattr(config, "num_mel_bins"):
            # The whisper family: channels first, and exactly as long as its positions.
            frames = 2 * config.max_source_positions
            return {"input_features": samples.floats(samples.batch, width, frames)}
        frames = workload.sequence_length
        return {
            "input_features": samples.floats(samples.batch, frames, width),
            "attention_mask": samples.ones(samples.batch, frames),
        }
    if hasattr(config, "max_length") and hasattr(config, "num_mel_bins"):  # AST
        shape = (samples.batch, config.max_length, config.num_mel_bins)
        return {"input_values": samples.floats(*shape)}
    inputs: Inputs = {"input_values": samples.floats(samples.batch, workload.sequence_length)}
    if getattr(config, "feat_extract_norm", None) == "layer":
        # Their feature extractors return a mask; those of group-normalised models do not.
        inputs["attention_mask"] = samples.ones(samples.batch, workload.sequence_length)
    return inputs


def _hearing_part(config: PreTrainedConfig) -> PreTrainedConfig:
    for name in ("audio_config", "encoder_config", "encoder"):
        part = getattr(config, name, None)
        if part is not None and hasattr(part, "model_type"):
            return part  # type: ignore[no-any-return]
    return config


def _feature_width(config: PreTrainedConfig) -> int:
    for name in _FEATURES:
        value = getattr(config, name, None)
        if isinstance(value, int):
            return value
    return 80


def _frames(model: nn.Module, inputs: Inputs, length: int) -> int:
    """Longest label that CTC can align: no more than the frames that leave the encoder."""
    sound = next(iter(inputs.values()))
    count = getattr(model, "_get_feat_extract_output_lengths", None)
    frames = int(count(sound.shape[-1])) if count and sound.dim() == 2 else sound.shape[1] // 8
    return max(1, min(length, frames // 2))
