"""Inputs of models that read images: pixels, and labels of classes, pixels or objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from planner.models.samples import Samples
from planner.request import Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Inputs = dict[str, Any]

_CLASSIFICATION_PIXELS = 224  # ImageNet's usual crop, for configurations that name no size
_DETECTION_PIXELS = 640  # COCO models' usual square, likewise
_OBJECTS = 4  # labelled objects in each image; COCO has 7 on average, losses barely grow with it


def image_inputs(samples: Samples, task: str, workload: Workload) -> Inputs:
    """Pixels, and in training the task's labels."""
    config = samples.config
    height, width = image_size(config, task, workload)
    inputs = _pixels(samples, height, width)
    if workload.mode != "train":
        return inputs
    if task == "image-segmentation" and "mask_labels" in samples.named:
        return inputs | _mask_labels(samples, height, width)
    if task == "image-segmentation" and not _is_detector(config):
        labels = samples.integers((samples.batch, height, width), config.num_labels or 2)
        return inputs | {"labels": labels}
    if task in ("object-detection", "image-segmentation"):
        masks = (height, width) if task == "image-segmentation" else None
        return inputs | {"labels": _objects(samples, masks)}
    return inputs | {"labels": class_labels(samples)} if task != "feature-extraction" else inputs


def _pixels(samples: Samples, height: int, width: int) -> Inputs:
    config = samples.config
    vision = vision_part(config)
    channels = getattr(vision, "num_channels", None) or getattr(vision, "in_channels", None) or 3
    if "spatial_shapes" in samples.named:  # images come as a row of flattened patches
        side = vision.patch_size
        rows = max(1, int(vision.num_patches**0.5))
        return {
            "pixel_values": samples.floats(samples.batch, rows * rows, channels * side * side),
            "pixel_attention_mask": samples.ones(samples.batch, rows * rows),
            "spatial_shapes": torch.full((samples.batch, 2), rows, device=samples.device),
        }
    pixels = samples.floats(samples.batch, channels, height, width)
    name = "pixel_values" if "pixel_values" in samples.named else "inputs"
    if "inputs" in samples.named and "pixel_values" in samples.named:
        name = "inputs"
    return {name: pixels}


def image_size(config: PreTrainedConfig, task: str, workload: Workload) -> tuple[int, int]:
    """Height and width: the workload's, the configuration's, or the usual of the task."""
    if workload.image_size is not None:
        return workload.image_size, workload.image_size
    for part in (config, vision_part(config), getattr(config, "backbone_config", None)):
        size = getattr(part, "image_size", None)
        if isinstance(size, int) and size > 0:
            return size, size
        if isinstance(size, (list, tuple)) and len(size) >= 2:
            return int(size[-2]), int(size[-1])
    fine = task in ("image-segmentation", "object-detection")
    usual = _DETECTION_PIXELS if fine else _CLASSIFICATION_PIXELS
    return usual, usual


def vision_part(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of the part that sees."""
    return getattr(config, "vision_config", None) or config


def class_labels(samples: Samples, classes: int | None = None) -> Tensor:
    """One class a sample, int64; where the configuration makes it a regression, floats."""
    count = classes or samples.config.num_labels or 2
    problem = samples.config.problem_type
    if classes is None and (problem == "regression" or (problem is None and count == 1)):
        return samples.floats(samples.batch) if count == 1 else samples.floats(samples.batch, count)
    if problem == "multi_label_classification" and classes is None:
        return samples.integers((samples.batch, count), 2).to(samples.dtype)
    return samples.integers((samples.batch,), count)


def _is_detector(config: PreTrainedConfig) -> bool:
    return hasattr(config, "num_queries") and hasattr(config, "bbox_cost")


def _objects(samples: Samples, masks: tuple[int, int] | None) -> list[dict[str, Tensor]]:
    objects = []
    for _ in range(samples.batch):
        centre = samples.integers((_OBJECTS, 2), 50) / 100 + 0.25
        item = {
            "class_labels": samples.integers((_OBJECTS,), samples.config.num_labels or 2),
            "boxes": torch.cat([centre, torch.full_like(centre, 0.2)], dim=-1),
        }
        if masks is not None:
            item["masks"] = samples.integers((_OBJECTS, *masks), 2).to(torch.float32)
        objects.append(item)
    return objects


def _mask_labels(samples: Samples, height: int, width: int) -> Inputs:
    shape = (_OBJECTS, height, width)
    inputs: Inputs = {
        "mask_labels": [samples.integers(shape, 2).to(torch.float32) for _ in range(samples.batch)],
        "class_labels": [
            samples.integers((_OBJECTS,), samples.config.num_labels or 2)
            for _ in range(samples.batch)
        ],
    }
    if "task_inputs" in samples.named:
        length = getattr(samples.config, "task_seq_len", 77)
        inputs["task_inputs"] = samples.integers((samples.batch, length), 1000)
        text = getattr(samples.config, "text_encoder_context_length", 77)
        count = getattr(samples.config, "text_encoder_n_ctx", 16)
        queries = getattr(samples.config, "num_queries", 150) - count
        inputs["text_inputs"] = samples.integers((samples.batch, queries, text), 1000)
    return inputs
