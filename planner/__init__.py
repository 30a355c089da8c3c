"""Headroom's library: describe a model and a workload, simulate it, plan it, apply the plan.

No HTTP here. Importing this module does not import torch; calling its functions does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.answers import plan, search_designs, simulate
    from planner.apply import apply_strategy, remove_strategy
    from planner.planning.module import auto_checkpoint, plan_module

_HOMES = {
    "simulate": "planner.answers",
    "plan": "planner.answers",
    "search_designs": "planner.answers",
    "apply_strategy": "planner.apply",
    "remove_strategy": "planner.apply",
    "plan_module": "planner.planning.module",
    "auto_checkpoint": "planner.planning.module",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


__all__ = [
    "apply_strategy",
    "auto_checkpoint",
    "plan",
    "plan_module",
    "remove_strategy",
    "search_designs",
    "simulate",
]
