"""What optimizers with compressed states have in common: parameters are stepped one by one, so what
is expanded is alive for one of them at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only


class ParameterwiseAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101) but for how its moments are kept.

    Limitation: a step of many small parameters is many small kernels; there is no `foreach`.
    """

    def __init__(self, params: Iterable[nn.Parameter], **defaults: Any) -> None:
        """Args:
            defaults: at least `lr`, `betas`, `eps` and `weight_decay`, as of `torch.optim.AdamW`.

        Raises:
            ValueError: an argument is out of its range.
        """
        if any(defaults[name] < 0 for name in ("lr", "eps", "weight_decay")):
            raise ValueError("lr, eps and weight_decay must not be negative")
        if not all(0 <= beta < 1 for beta in defaults["betas"]):
            raise ValueError("betas must be in [0, 1)")
        super().__init__(params, defaults)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, which casts states to the dtype of the parameter; theirs stays here."""
        super().load_state_dict(state_dict)
        numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
        parameters = [each for group in self.param_groups for each in group["params"]]
        for number, parameter in zip(numbers, parameters, strict=True):
            if number in state_dict["state"]:
                self.state[parameter] = _copied(state_dict["state"][number], parameter.device)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    @abstractmethod
    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Step one parameter with the options of its group."""


def check_counts(group: dict[str, Any], *names: str) -> None:
    """Raise `ValueError` where an argument is no whole number of at least 1."""
    for name in names:
        if type(group[name]) is not int or group[name] < 1:
            raise ValueError(f"{name} must be a whole number of at least 1")


def normalised_moments(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """Put a gradient (fp32) into the moments of the state, made at first in its shape, and return
    what AdamW subtracts, before the learning rate (algorithm 2, lines 6 to 12, without decay).
    """
    if "step" not in state:
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(gradient)
        state["exp_avg_sq"] = torch.zeros_like(gradient)
    state["step"] += 1
    beta1, beta2 = group["betas"]
    average, square = state["exp_avg"], state["exp_avg_sq"]
    average.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    denominator = square.sqrt().div_((1 - beta2 ** state["step"]) ** 0.5).add_(group["eps"])
    return torch.div(average, denominator, out=denominator).div_(1 - beta1 ** state["step"])


def decay(parameter: Tensor, group: dict[str, Any]) -> None:
    """Decoupled weight decay."""
    if group["weight_decay"]:
        parameter.mul_(1 - group["lr"] * group["weight_decay"])


def _copied(state: dict[str, Any], device: torch.device) -> dict[str, Any]:
    copied: dict[str, Any] = tree_map_only(Tensor, lambda t: t.to(device, copy=True), state)
    return copied
