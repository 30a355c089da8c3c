"""What can be asked: presets, tasks, model types and techniques, JSON-ready."""

from __future__ import annotations

from typing import Any

from planner.models.tasks import TASKS, class_names


def presets() -> list[dict[str, Any]]:
    """Every preset."""
    return []


def tasks() -> list[dict[str, Any]]:
    """Every task, with one line on what it is."""
    return [{"name": name, "summary": spec.summary} for name, spec in TASKS.items()]


def model_types_by_task() -> dict[str, list[str]]:
    """Task -> model types of the installed library that can be built for it."""
    return {task: sorted(class_names(task)) for task in TASKS}


def techniques() -> list[dict[str, Any]]:
    """What a request can choose."""
    return []
