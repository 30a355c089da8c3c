"""From a description to a `torch.nn.Module`, on fake or real tensors alike."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from planner.compress import compress_model
from planner.errors import InvalidRequest, ModelBuildFailed
from planner.models import initialization
from planner.models.config import make_config
from planner.models.lora import add_lora
from planner.models.tasks import class_names
from planner.request import TransformersModel, Workload
from planner.strategy import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_DTYPES = {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def parameter_dtype(precision: str) -> torch.dtype:
    """The dtype of parameters: autocast (`amp-*`) keeps them in fp32."""
    return _DTYPES.get(precision, torch.float32)


def build_model(
    description: TransformersModel,
    workload: Workload,
    config: PreTrainedConfig | None = None,
    *,
    strategy: Strategy | None = None,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """Build the model of a description, ready for the workload's mode.

    Under an active `FakeTensorMode` no weight is initialised; otherwise they are real and finite.

    Raises:
        InvalidRequest: the description contradicts itself or the model lacks what it asks for.
        ModelBuildFailed: the library's own class refuses the configuration.
    """
    config = make_config(description, workload) if config is None else config
    fake = torch._guards.detect_fake_mode() is not None or torch.device(device).type == "meta"
    library_model = _instantiate(description, workload, config, torch.device(device), fake)
    _set_use_cache(library_model, workload.mode == "generation")
    training = workload.mode == "train"
    if training and strategy is not None and strategy.checkpointing == "full":
        _enable_checkpointing(library_model, with_lora=description.lora is not None)
    model: nn.Module = library_model
    if strategy is not None:
        compress_model(model, strategy.compression)
    if description.lora is not None:
        with torch.device(device):
            model = add_lora(model, description.lora, fake=fake)
    freeze(model, description.freeze, description.train)
    return model.train(training)


def _instantiate(
    description: TransformersModel,
    workload: Workload,
    config: PreTrainedConfig,
    device: torch.device,
    fake: bool,
) -> PreTrainedModel:
    import transformers

    names = class_names(description.task)
    auto = getattr(transformers, names[description.config["model_type"]][0])
    options: dict[str, Any] = {"dtype": parameter_dtype(workload.precision)}
    if description.attention is not None:
        options["attn_implementation"] = description.attention
    if description.experts is not None:
        options["experts_implementation"] = description.experts
    initialise = initialization.skipped() if fake else initialization.cheap()
    try:
        with initialise, torch.device(device):
            model: PreTrainedModel = auto.from_config(config, **options)
    except Exception as error:
        raise ModelBuildFailed(f"{type(error).__name__}: {error}") from error
    if device.type not in ("cpu", "meta"):
        move_stragglers(model, device)
    return model


def move_stragglers(model: nn.Module, device: torch.device) -> None:
    """Move what the device's context did not reach, such as `torch.Tensor(size)`, as `Module.to`.

    `Module.to` itself would give every tensor new data.
    """
    moved: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.device.type != device.type:
                copy = nn.Parameter(parameter.detach().to(device), parameter.requires_grad)
                module._parameters[name] = moved.setdefault(id(parameter), copy)
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.device.type != device.type:
                module._buffers[name] = buffer.to(device)


def _set_use_cache(model: nn.Module, use_cache: bool) -> None:
    """Off in every configuration that a part of the model holds: decoders keep copies of their own.
    On in the model's own alone: an encoder's copy has it off for good.
    """
    for module in [model] if use_cache else model.modules():
        config = getattr(module, "config", None)
        names = getattr(config, "sub_configs", ())
        for part in (config, *(getattr(config, name, None) for name in names)):
            if part is not None and hasattr(part, "use_cache"):
                part.use_cache = use_cache


def _enable_checkpointing(model: PreTrainedModel, with_lora: bool) -> None:
    if not model.supports_gradient_checkpointing:
        raise InvalidRequest.at(
            "/strategy/checkpointing",
            f"{type(model).__name__} does not support gradient checkpointing",
            'use "none"',
        )
    model.activation_checkpointing_enable({"use_reentrant": False})
    if with_lora:
        # Frozen embeddings leave the checkpointed units without an input that needs gradients.
        model.enable_input_require_grads()  # type: ignore[no-untyped-call]


def freeze(model: nn.Module, frozen: list[str], trained: list[str]) -> None:
    """Take the gradient from every parameter whose name matches a glob pattern of the first list,
    then give it to those that match one of the second.

    Raises:
        InvalidRequest: a pattern matches no parameter.
    """
    names = dict(model.named_parameters())
    for field, patterns in (("freeze", frozen), ("train", trained)):
        for index, pattern in enumerate(patterns):
            matching = fnmatch.filter(names, pattern)
            if not matching:
                raise InvalidRequest.at(
                    f"/model/{field}/{index}",
                    f"{pattern!r} matches no parameter name",
                    f"names look like {next(iter(names), '')!r}",
                )
            for name in matching:
                names[name].requires_grad_(field == "train")
