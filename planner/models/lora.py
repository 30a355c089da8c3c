"""Low-rank adapters on a built model, by `peft`, on fake tensors too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from planner.errors import InvalidRequest
from planner.fine_tuning import Lora


def add_lora(model: nn.Module, lora: Lora, *, fake: bool) -> nn.Module:
    """The model with adapters, everything else frozen, as `peft.get_peft_model` leaves it.

    Raises:
        InvalidRequest: no module has one of the target names.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # floats divide by r just as well
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        bias=lora.bias,
        init_lora_weights=not fake,  # drawing values is no work for fake tensors
    )
    try:
        with _converting_fakes() if fake else _unchanged():
            adapted: nn.Module = get_peft_model(model, config)
    except ValueError as error:
        raise InvalidRequest.at(
            "/model/lora/target_modules",
            f"peft refuses them: {' '.join(str(error).split())[:300]}",
            f"linear modules here are {', '.join(_linear_names(model))}",
        ) from error
    return adapted


def _linear_names(model: nn.Module) -> list[str]:
    names = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    return sorted(names)[:20]


@contextmanager
def _unchanged() -> Iterator[None]:
    yield


@contextmanager
def _converting_fakes() -> Iterator[None]:
    """Within, `Module.to` replaces parameters: torch swaps fake ones, which weak references forbid.

    `peft` converts each adapter right after making it, before anything else refers to it.
    """
    with patch.object(nn.Module, "_apply", _replace_parameters):
        yield


def _replace_parameters(
    module: nn.Module, convert: Callable[[Tensor], Tensor], recurse: bool = True
) -> nn.Module:
    for child in module.children() if recurse else ():
        _replace_parameters(child, convert)
    for slots in (module._parameters, module._buffers):
        for name, old in slots.items():
            if old is not None:
                slots[name] = _converted(old, convert)
    return module


def _converted(old: Any, convert: Callable[[Tensor], Tensor]) -> Any:
    with torch.no_grad():
        new = convert(old)
    if new is old or not isinstance(old, nn.Parameter):
        return new
    return nn.Parameter(new, requires_grad=old.requires_grad)
