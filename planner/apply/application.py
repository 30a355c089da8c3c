"""`apply_strategy` and `remove_strategy`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from planner.apply.chunked_loss import ChunkedHead, find_head
from planner.apply.offload import Offload
from planner.apply.optimizer import apply_to_optimizer
from planner.apply.recompute import Recompute, Selective
from planner.apply.segment import Segment
from planner.apply.wrapping import Wrapper, unwrap, wrap
from planner.errors import StrategyMismatch
from planner.strategy import Strategy, UnitChoice

_APPLIED = "_headroom_applied"

Undo = Callable[[], None]


def apply_strategy(
    model: nn.Module,
    strategy: Strategy | Mapping[str, Any] | str,
    optimizer: torch.optim.Optimizer | None = None,
) -> nn.Module:
    """Make a model train by a strategy, with nothing but PyTorch's own means.

    Units are recomputed by non-reentrant `torch.utils.checkpoint` (so autocast and random state
    are restored, dropout draws the same masks), keep some op outputs by its selective contexts, or
    are offloaded by saved-tensor hooks. The loss and every gradient stay what they were. Apply
    before wrapping with DDP, FSDP2 or `torch.compile`; segments, loss chunks and offload do not
    compile.

    Micro-batches, attention, precision and optimizer states are the training script's: they are
    not the model's to change. Compression comes before the optimizer is made:
    `planner.compress.compress_model`.

    Args:
        model: what the strategy was made for; it is changed in place.
        strategy: `planner.strategy.Strategy`, its JSON, or the object that JSON holds.
        optimizer: needed only where the strategy has a choice for it.

    Returns:
        The model.

    Raises:
        pydantic.ValidationError: the JSON is no strategy.
        StrategyMismatch: the model has no such module, or has a strategy already; it is unchanged.
    """
    strategy = _parse(strategy)
    if _APPLIED in model.__dict__:
        raise StrategyMismatch("the model has a strategy applied already; remove_strategy(model)")
    if strategy.checkpointing == "full":
        return _enable_library_checkpointing(model)
    changes_optimizer = strategy.optimizer != type(strategy.optimizer)()
    if changes_optimizer and optimizer is None:
        raise StrategyMismatch("the strategy has a choice for the optimizer: pass it too")
    wrappers = _wrappers(model, strategy)
    undo: list[Undo] = []
    if optimizer is not None:
        undo.append(apply_to_optimizer(optimizer, strategy.optimizer))
    for module, wrapper in wrappers:
        wrap(module, wrapper)
    model.__dict__[_APPLIED] = undo
    return model


def remove_strategy(model: nn.Module) -> nn.Module:
    """Undo `apply_strategy`; a model without a strategy stays as it is."""
    for undo in model.__dict__.pop(_APPLIED, []):
        undo()
    for module in model.modules():
        unwrap(module)
    return model


def _parse(strategy: Strategy | Mapping[str, Any] | str) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    return Strategy.model_validate(json.loads(strategy) if isinstance(strategy, str) else strategy)


def _enable_library_checkpointing(model: nn.Module) -> nn.Module:
    enable = getattr(model, "gradient_checkpointing_enable", None)
    if enable is None:
        raise StrategyMismatch(
            f"{type(model).__name__} has no checkpointing of its own; choose for its units instead"
        )
    undo = getattr(model, "gradient_checkpointing_disable", lambda: None)
    enable({"use_reentrant": False})
    model.__dict__[_APPLIED] = [undo]
    return model


def _wrappers(model: nn.Module, strategy: Strategy) -> list[tuple[nn.Module, Wrapper]]:
    """Every module to wrap, with its wrapper; for one module the outermost first."""
    modules = dict(model.named_modules())
    found: list[tuple[nn.Module, Wrapper]] = []
    spans = [(choice, _span(modules, choice)) for choice in strategy.units]
    # Longer segments are around shorter ones, and those around single units.
    for choice, names in sorted(spans, key=lambda item: -len(item[1])):
        wrapper = _wrapper(choice, names, modules)
        if wrapper is not None:
            found += [(modules[name], wrapper) for name in names]
    if strategy.loss_chunks > 1:
        head = strategy.loss_head or find_head(model)
        if head not in modules:
            raise StrategyMismatch(f"{type(model).__name__} has no linear head {head or ''!r}")
        found.append((modules[head], ChunkedHead(strategy.loss_chunks)))
    return found


def _wrapper(choice: UnitChoice, names: list[str], modules: dict[str, nn.Module]) -> Wrapper | None:
    if choice.action == "keep":
        return None
    if choice.action == "offload":
        return Offload()
    if choice.action == "selective":
        return Selective(frozenset(choice.save))
    if choice.through is not None:
        return Segment(names, [modules[name] for name in names])
    return Recompute()


def _span(modules: dict[str, nn.Module], choice: UnitChoice) -> list[str]:
    """Paths of the modules that the choice concerns: siblings from `module` to `through`."""
    for name in (choice.module, choice.through):
        if name is not None and name not in modules:
            raise StrategyMismatch(
                f"the model has no module {name!r}; the strategy was made for another one"
            )
    if choice.through is None:
        return [choice.module]
    parent = choice.module.rpartition(".")[0]
    siblings = [f"{parent}.{name}".lstrip(".") for name, _ in modules[parent].named_children()]
    if choice.through not in siblings:
        raise StrategyMismatch(f"{choice.module!r} and {choice.through!r} have not the same parent")
    first, last = siblings.index(choice.module), siblings.index(choice.through)
    if last <= first:
        raise StrategyMismatch(f"{choice.through!r} does not come after {choice.module!r}")
    return siblings[first : last + 1]
