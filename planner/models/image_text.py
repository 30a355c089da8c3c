"""Inputs of models that read an image within a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from planner.errors import InvalidRequest
from planner.models.samples import Samples
from planner.models.vision import image_size, vision_part
from planner.request import Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Inputs = dict[str, Any]

_TOKEN_FIELDS = ("image_token_id", "image_token_index", "media_placeholder_token_id")
_IGNORED = -100  # of every loss in the library: image tokens are not predicted


def image_text_inputs(samples: Samples, task: str, workload: Workload) -> Inputs:
    """One image and a text of `sequence_length` tokens, the image's own among them.

    Raises:
        InvalidRequest: the image's tokens do not fit into the sequence, or how this architecture
            takes images is not known.
    """
    config, length = samples.config, workload.sequence_length
    side = image_size(config, task, workload)[0]
    images = _images(samples, side)
    ids = samples.ids(length)
    token = next(
        (t for name in _TOKEN_FIELDS if (t := getattr(config, name, None)) is not None), None
    )
    if token is not None:
        count = _tokens_of_image(config, side)
        if count + 1 > length:
            raise InvalidRequest.at(
                "/workload/sequence_length",
                f"{length} tokens are too few: an image alone takes {count} of them",
                f"use at least {count + 1}, or a smaller /workload/image_size",
            )
        ids[:, 1 : 1 + count] = token
    inputs: Inputs = {
        "input_ids": ids,
        "attention_mask": samples.ones(samples.batch, length),
        **images,
    }
    if "mm_token_type_ids" in samples.named or "token_type_ids" in samples.named:
        kind = "mm_token_type_ids" if "mm_token_type_ids" in samples.named else "token_type_ids"
        inputs[kind] = torch.eq(ids, -1 if token is None else token).to(torch.int64)
    if workload.mode == "train":
        inputs["labels"] = _labels(samples, ids, token, workload)
    return inputs


def _labels(samples: Samples, ids: Tensor, token: int | None, workload: Workload) -> Tensor:
    if samples.config.is_encoder_decoder:
        return samples.ids(workload.target_length or workload.sequence_length)
    return ids.masked_fill(ids == token, _IGNORED) if token is not None else ids.clone()


def _images(samples: Samples, side: int) -> Inputs:
    vision = vision_part(samples.config)
    channels = getattr(vision, "num_channels", None) or getattr(vision, "in_channels", None) or 3
    if "image_grid_thw" in samples.named:
        return _patch_rows(samples, vision, int(channels), side)
    sizes = {"image_sizes": torch.full((samples.batch, 2), side, device=samples.device)}
    if "pixel_attention_mask" in samples.named:  # idefics: several images a sample
        return {"pixel_values": samples.floats(samples.batch, 1, channels, side, side)}
    if hasattr(samples.config, "image_grid_pinpoints"):
        # llava-next: the whole image and one tile of it
        return {"pixel_values": samples.floats(samples.batch, 2, channels, side, side), **sizes}
    pixels = {"pixel_values": samples.floats(samples.batch, channels, side, side)}
    # The Pixtral encoder cuts away padding; other encoders of the same model classes take no sizes.
    return pixels | sizes if vision.model_type == "pixtral" else pixels


def _patch_rows(samples: Samples, vision: PreTrainedConfig, channels: int, side: int) -> Inputs:
    """Qwen-VL and its kin: the patches of all images, one a row, and each image's grid of them."""
    patch, merge = vision.patch_size, getattr(vision, "spatial_merge_size", 1)
    time = getattr(vision, "temporal_patch_size", 1)
    grid = max(1, side // (patch * merge)) * merge
    width = channels * time * patch * patch
    return {
        "pixel_values": samples.floats(samples.batch * grid * grid, width),
        "image_grid_thw": torch.tensor([[1, grid, grid]] * samples.batch, device=samples.device),
    }


def _tokens_of_image(config: PreTrainedConfig, side: int) -> int:
    """Tokens that one image of `side` pixels becomes, as the library's processors count them."""
    rule = _TOKENS.get(config.model_type)
    vision = vision_part(config)
    if rule is not None:
        return rule(config, side // _patch(vision))
    merge = getattr(vision, "spatial_merge_size", None)
    if isinstance(merge, int) and hasattr(vision, "patch_size"):
        return (max(1, side // (_patch(vision) * merge))) ** 2
    known = ", ".join(sorted(_TOKENS))
    raise InvalidRequest.at(
        "/model/task",
        f"how {config.model_type} takes images is not known to Headroom",
        f"known are {known}, and models that take grids of patches such as qwen2_vl",
    )


def _patch(vision: PreTrainedConfig) -> int:
    size = getattr(vision, "patch_size", 1)
    return int(size[0] if isinstance(size, (list, tuple)) else size)


def _llava(config: PreTrainedConfig, patches: int) -> int:
    return patches**2 + int(config.vision_feature_select_strategy == "full")


def _shuffled(config: PreTrainedConfig, patches: int) -> int:
    return int((patches * config.downsample_ratio) ** 2)


# Model type -> tokens of an image of so many patches a side, by the config's own fields.
_TOKENS: dict[str, Callable[[Any, int], int]] = {
    "llava": _llava,
    "vipllava": lambda config, patches: patches**2,
    "paligemma": lambda config, patches: patches**2,
    "gemma3": lambda config, patches: int(config.mm_tokens_per_image),
    "internvl": _shuffled,
    "qianfan_ocr": _shuffled,
    "idefics2": lambda config, patches: int(config.perceiver_config.resampler_n_latents),
    "idefics3": lambda config, patches: (patches // config.scale_factor) ** 2,
    "smolvlm": lambda config, patches: (patches // config.scale_factor) ** 2,
    "blip-2": lambda config, patches: int(config.num_query_tokens),
    "aya_vision": lambda config, patches: (patches // config.downsample_factor) ** 2,
    "cohere2_vision": lambda config, patches: (patches // config.downsample_factor) ** 2,
    "mistral3": lambda config, patches: (patches // config.spatial_merge_size) ** 2,
    "got_ocr2": lambda config, patches: (patches // 4) ** 2,
    "ovis2": lambda config, patches: (patches // config.vision_config.hidden_stride) ** 2,
}
