"""What this worker can do, for `GET /v1/workers` and for matching a run's labels.

Neither torch nor a CUDA context is needed: the worker itself stays small.
"""

from __future__ import annotations

import os
import platform
from typing import Any

from planner.versions import versions
from profiler import nvml
from profiler.host import cpu_model
from profiler.limits import default_memory_bytes, host_memory_bytes


def labels() -> dict[str, str]:
    """What a run's `labels` are matched with: a run fits where each of its labels is equal here."""
    cards = nvml.gpus()
    common = {"architecture": platform.machine(), "os": platform.system().lower()}
    if not cards:
        return {"device": "cpu", "device_name": cpu_model(), **common}
    return {
        "device": "cuda",
        "device_name": cards[0].name,
        "compute_capability": cards[0].compute_capability,
        **common,
    }


def capabilities() -> dict[str, Any]:
    """JSON-ready description: labels, devices with their memory, versions."""
    return {
        "labels": labels(),
        "devices": _devices(),
        "host": {
            "name": platform.node(),
            "cpu": cpu_model(),
            "cpus": os.cpu_count(),
            "memory_bytes": host_memory_bytes(),
        },
        "versions": versions(),
    }


def _devices() -> list[dict[str, Any]]:
    cpu = {
        "kind": "cpu",
        "name": cpu_model(),
        "architecture": platform.machine(),
        "memory_bytes": default_memory_bytes(),
    }
    cards = [
        {
            "kind": "cuda",
            "name": card.name,
            "architecture": card.compute_capability,
            "memory_bytes": card.memory_bytes,
            "driver": card.driver,
        }
        for card in nvml.gpus()
    ]
    return [cpu, *cards]
