"""Plans of any `torch.nn.Module`, in the process that trains it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from planner.apply import apply_strategy
from planner.devices import BUILTIN, DeviceProfile
from planner.errors import HeadroomError, InvalidRequest
from planner.planning.make import OnProgress, Wishes, find_plan
from planner.plans import CHANGES_MATHEMATICS, DEFAULT_ALLOW, Plan, SolverName
from planner.quantities import format_bytes, parse_bytes
from planner.request import Precision, Workload
from planner.step import Job
from planner.strategy import Strategy
from planner.tracing.rules import rules_for

Loss = Callable[[Any], Tensor]
Build = Callable[[], tuple[nn.Module, Mapping[str, Any]]]

# What needs another model, other inputs or a request to be built from.
_OF_REQUESTS = frozenset({"micro_batching", "attention", *CHANGES_MATHEMATICS})


class DoesNotFit(HeadroomError):
    """No allowed strategy fits the budget."""

    type = "does-not-fit"
    title = "No strategy fits the budget"


def plan_module(
    build: Build,
    memory_budget: int | str,
    *,
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None = None,
    loss: Loss | None = None,
    precision: Precision = "fp32",
    gradient_accumulation_steps: int = 1,
    allow: Iterable[str] | None = None,
    units: list[str] | None = None,
    solver: SolverName = "milp",
    frontier_points: int = 0,
    device: DeviceProfile | None = None,
    progress: OnProgress = lambda message: None,
    helpers: int = 0,
) -> Plan:
    """The cheapest certified strategy with which a training step of a module fits a budget.

    The module is built and its step executed on fake tensors: nothing is allocated.

    Args:
        build: makes the module and the keyword arguments of its forward.
        memory_budget: live bytes of the whole step: parameters, gradients, optimizer state,
            inputs and activations. An int, or a string such as "8GB".
        optimizer: makes the optimizer of the parameters; a plain SGD, which holds nothing, where
            absent.
        loss: of the module's output; by default the output itself, or its field `loss`.
        allow: techniques; by default all that leave the mathematics and the inputs as they are.
        helpers: processes to fork; leave 0 where threads are running.

    Raises:
        InvalidRequest: the budget, a technique or a pattern makes no sense.
        HeadroomError: the module's plain step fails.
    """

    device = device or BUILTIN["cpu"]
    where = rules_for(device).tensor_device

    def factory(shape: Strategy) -> Job:
        with torch.device(where):
            model, inputs = build()
        inputs = tree_map_only(Tensor, lambda tensor: tensor.to(where), dict(inputs))
        parameters = [p for p in model.parameters() if p.requires_grad]
        make = optimizer or (lambda trained: torch.optim.SGD(trained, lr=1e-3))
        workload = Workload(
            precision=precision, gradient_accumulation_steps=gradient_accumulation_steps
        )
        kind = torch.device(where).type
        return Job(workload, model.train(), inputs, make(parameters), kind, loss)

    wishes = Wishes(
        budget_bytes=_budget(memory_budget),
        allowed=_allowed(allow),
        patterns=units,
        solver=solver,
        points=frontier_points,
        helpers=helpers,
    )
    plan, _ = find_plan(factory, device, wishes, progress)
    return plan


def auto_checkpoint(
    model: nn.Module,
    inputs: Mapping[str, Any],
    memory_budget: int | str,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    **options: Any,
) -> Plan:
    """Plan for a model as it is, and apply the plan to it; `remove_strategy` undoes that.

    Args:
        model: of any size, on any device; its parameters are only looked at.
        inputs: keyword arguments of its forward, as in training.
        optimizer: the one that trains it, so that its state is counted.
        options: those of `plan_module`.

    Raises:
        DoesNotFit: says the smallest budget, and what holds the memory there.
        InvalidRequest, HeadroomError: as `plan_module`.
    """

    def build() -> tuple[nn.Module, Mapping[str, Any]]:
        return fake_copy(model), {name: _fake_input(value) for name, value in inputs.items()}

    make = None if optimizer is None else _same_optimizer(optimizer)
    plan = plan_module(build, memory_budget, optimizer=make, **options)
    if plan.strategy is None:
        assert plan.infeasible is not None
        least = plan.infeasible.smallest_budget_bytes
        raise DoesNotFit(
            f"the least that any allowed strategy takes is {format_bytes(least)} ({least} bytes)",
            **plan.infeasible.model_dump(mode="json"),
        )
    apply_strategy(model, plan.strategy, optimizer)
    return plan


def fake_copy(model: nn.Module) -> nn.Module:
    """A copy of the model whose parameters and buffers are made anew by the active mode."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        empty = _empty_like(parameter)
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = _fake_input(buffer)
    return copy.deepcopy(model, memo)


def _empty_like(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)


def _fake_input(value: Any) -> Any:
    """Integers and booleans stay: code of the model may look at them."""
    return tree_map_only(
        Tensor, lambda t: _empty_like(t) if t.is_floating_point() else t.cpu(), value
    )


def _same_optimizer(
    optimizer: torch.optim.Optimizer,
) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    kind: Any = type(optimizer)
    # Some defaults are no arguments: AdamW's `decoupled_weight_decay`.
    known = inspect.signature(kind).parameters
    defaults = {name: value for name, value in optimizer.defaults.items() if name in known}
    return lambda parameters: kind(parameters, **defaults)


def _budget(memory_budget: int | str) -> int:
    try:
        count = parse_bytes(memory_budget)
    except ValueError as error:
        raise InvalidRequest.at("/memory_budget", str(error)) from None
    if not isinstance(count, int) or count <= 0:
        raise InvalidRequest.at(
            "/memory_budget", f"{memory_budget!r} is no positive number of bytes", 'such as "8GB"'
        )
    return count


def _allowed(allow: Iterable[str] | None) -> frozenset[str]:
    possible = frozenset(DEFAULT_ALLOW) - _OF_REQUESTS
    if allow is None:
        return possible
    chosen = frozenset(allow)
    if unknown := sorted(chosen - possible):
        raise InvalidRequest.at(
            "/allow",
            f"{', '.join(unknown)} cannot be planned for a module",
            f"use some of {', '.join(sorted(possible))}",
        )
    return chosen
