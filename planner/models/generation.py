"""The library's own greedy generation, with exactly the number of new tokens asked for."""

from __future__ import annotations

from typing import Any

from torch import nn

from planner.request import Workload


def generate(model: nn.Module, inputs: dict[str, Any], workload: Workload) -> None:
    """Run `model.generate` greedily for exactly `workload.new_tokens` tokens.

    The end-of-sequence token is disabled: how long a real model would go on is not known.
    `DynamicCache` grows by concatenation, `StaticCache` is allocated for prompt and answer at once.
    """
    options: dict[str, Any] = {
        "do_sample": False,
        "num_beams": 1,
        "min_new_tokens": workload.new_tokens,
        "max_new_tokens": workload.new_tokens,
        "eos_token_id": None,
        "pad_token_id": _NO_TOKEN if _strips_padding(model) else 0,
        "use_cache": True,
        "disable_compile": True,
    }
    if workload.cache == "static":
        options["cache_implementation"] = "static"
    model.generate(**inputs, **options)  # type: ignore[operator]


_NO_TOKEN = -1


def _strips_padding(model: nn.Module) -> bool:
    """Whisper cuts padding off its answer, and fails where nothing else was written."""
    return getattr(model.config, "model_type", None) == "whisper"
