"""What can be asked: presets, tasks, model types and layers, JSON-ready."""

from __future__ import annotations

from typing import Any

from planner.architecture.kinds import kinds
from planner.models.tasks import TASKS, class_names
from planner.presets import PRESETS

Entry = dict[str, Any]

_SIZES = ("small", "paper")


def presets() -> list[Entry]:
    """Every preset: name, task, sizes, paper, and for each size an example that can be POSTed."""
    return [
        {
            "name": name,
            "task": preset.task,
            "source": preset.description("small").source,
            "model_type": preset.model_type,
            "summary": preset.summary,
            "paper": preset.paper,
            "sizes": {
                "small": "runs on a CPU in seconds",
                "paper": preset.paper_name,
            },
            "examples": {
                size: {
                    "model": {"source": "preset", "name": name, "size": size},
                    "workload": preset.example_workload(size),
                }
                for size in _SIZES
            },
        }
        for name, preset in PRESETS.items()
    ]


def tasks() -> list[Entry]:
    """Every task, with one line on what it is."""
    return [{"name": name, "summary": spec.summary} for name, spec in TASKS.items()]


def model_types_by_task() -> dict[str, list[str]]:
    """Task -> model types of the installed library that can be built for it."""
    return {task: sorted(class_names(task)) for task in TASKS}


def layer_ops() -> list[Entry]:
    """Every op that a graph of layers (`"source": "layers"`) can name, with its arguments."""
    from planner.models.layers.ops import ops

    return [op.described() for op in ops().values()]


def architecture() -> dict[str, list[Entry]]:
    """What `source: architecture` is put together of: kinds of attention, feed-forward, ..."""
    return kinds()
