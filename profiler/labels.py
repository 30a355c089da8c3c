"""What a card offers, for `GET /v1/workers` and for matching a run's labels.

Neither torch nor a CUDA context is needed: the worker itself stays small.
"""

from __future__ import annotations

from typing import Any

from planner.devices import profile_of_driver
from profiler.nvml import Gpu


def card_labels(card: Gpu) -> dict[str, str]:
    """What a run's `labels` are matched with: a run fits where each of its labels is equal here.

    `profile` is there where a built-in device profile describes the card.
    """
    profile = profile_of_driver(card.name)
    return {
        "device": "cuda",
        "device_name": card.name,
        "architecture": card.architecture,
        **({"profile": profile} if profile is not None else {}),
    }


def card_description(card: Gpu) -> dict[str, Any]:
    """JSON-ready description of the card."""
    return {
        "kind": "cuda",
        "name": card.name,
        "architecture": card.architecture,
        "memory_bytes": card.memory_bytes,
        "driver": card.driver,
        "uuid": card.uuid,
    }
