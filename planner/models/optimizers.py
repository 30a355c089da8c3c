"""torch's own optimizers and those with compressed states, by name and their own arguments."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from planner.errors import InvalidRequest
from planner.models.adamw8bit import AdamW8bit
from planner.models.compressed.galore import GaLoreAdamW
from planner.models.compressed.sgc import CESGC, MESGC
from planner.request import Optimizer

# Classes of `torch.optim` whose step needs nothing but gradients. LBFGS re-evaluates the loss in a
# closure and SparseAdam takes sparse gradients only: neither can drive a transformer's step.
OPTIMIZERS: dict[str, str] = {
    "adamw": "AdamW",
    "adam": "Adam",
    "sgd": "SGD",
    "adafactor": "Adafactor",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "adamax": "Adamax",
    "nadam": "NAdam",
    "radam": "RAdam",
    "asgd": "ASGD",
    "rprop": "Rprop",
    # Headroom's own:
    "adamw8bit": "AdamW8bit",
    "galore_adamw": "GaLoreAdamW",
    "mesgc": "MESGC",
    "cesgc": "CESGC",
}
_OWN: dict[str, type[torch.optim.Optimizer]] = {
    "adamw8bit": AdamW8bit,
    "galore_adamw": GaLoreAdamW,
    "mesgc": MESGC,
    "cesgc": CESGC,
}


def optimizer_class(name: str) -> type[torch.optim.Optimizer]:
    """The optimizer's class; raises `KeyError` for names outside `OPTIMIZERS`."""
    cls: type[torch.optim.Optimizer] = _OWN.get(name) or getattr(torch.optim, OPTIMIZERS[name])
    return cls


def class_path(name: str) -> str:
    """The optimizer's class as people name it, such as `torch.optim.AdamW`."""
    cls = optimizer_class(name)
    return f"torch.optim.{cls.__name__}" if cls.__module__.startswith("torch.") else cls.__name__


def arguments_of(name: str) -> dict[str, inspect.Parameter]:
    """Arguments that the optimizer takes besides the parameters."""
    parameters = inspect.signature(optimizer_class(name)).parameters
    return {key: value for key, value in parameters.items() if key != "params"}


def make_optimizer(model: nn.Module, spec: Optimizer) -> torch.optim.Optimizer:
    """The optimizer over all parameters that need a gradient.

    Raises:
        InvalidRequest: torch refuses the arguments, or nothing is trainable.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise InvalidRequest.at("/model/freeze", "no parameter is left to train", "freeze less")
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in spec.arguments.items()
    }
    if spec.name == "sgd":
        arguments.setdefault("lr", 1e-3)
    try:
        return optimizer_class(spec.name)(trainable, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidRequest.at(
            "/workload/optimizer",
            f"{class_path(spec.name)} refuses its arguments: {error}",
            "see the arguments of that class in torch's documentation",
        ) from error
