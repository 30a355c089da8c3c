"""The tensors of one step, as the library's own trainer would feed them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from planner.models.build import parameter_dtype
from planner.request import TransformersModel, Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def make_inputs(
    model: nn.Module,
    config: PreTrainedConfig,
    description: TransformersModel,
    workload: Workload,
    device: str | torch.device = "cpu",
) -> dict[str, Any]:
    """Inputs of one forward call; ids, masks and labels carry real, valid values."""
    batch, length = workload.batch_size, workload.sequence_length
    dtype = parameter_dtype(workload.precision)
    train = workload.mode == "train"
    gen = torch.Generator().manual_seed(0)
    inputs: dict[str, Any] = {}
    if description.task.startswith("image-class"):
        size = workload.image_size or config.image_size
        size = size if isinstance(size, int) else size[0]
        inputs["pixel_values"] = torch.zeros(
            batch, getattr(config, "num_channels", 3), size, size, dtype=dtype, device=device
        )
        if train:
            inputs["labels"] = torch.randint(config.num_labels, (batch,), generator=gen).to(device)
        return inputs
    vocab = config.get_text_config().vocab_size
    ids = torch.randint(min(5, vocab - 1), vocab, (batch, length), generator=gen)
    inputs["input_ids"] = ids.to(device)
    inputs["attention_mask"] = torch.ones(batch, length, dtype=torch.int64, device=device)
    if train:
        inputs["labels"] = ids.clone().to(device)
    return accepted(model, inputs)


def accepted(model: nn.Module, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs that the model's forward names."""
    parameters = inspect.signature(model.forward).parameters
    return {name: value for name, value in inputs.items() if name in parameters}


__all__ = ["Tensor", "accepted", "make_inputs"]
