"""The library's own greedy generation, with exactly the number of new tokens asked for."""

from __future__ import annotations

from typing import Any

from torch import nn

from planner.kv_cache import KvCache
from planner.request import Workload


def generate(
    model: nn.Module, inputs: dict[str, Any], workload: Workload, kv_cache: KvCache | None = None
) -> None:
    """Run `model.generate` greedily for exactly `workload.new_tokens` tokens.

    The end-of-sequence token is disabled: how long a real model would go on is not known.
    `DynamicCache` grows by concatenation, `StaticCache` is allocated for prompt and answer at once,
    and without a cache each token computes the whole text again.

    Args:
        kv_cache: the policy of the cache; the workload's cache when absent.
    """
    options: dict[str, Any] = {
        "do_sample": False,
        "num_beams": 1,
        "min_new_tokens": workload.new_tokens,
        "max_new_tokens": workload.new_tokens,
        "eos_token_id": None,
        "pad_token_id": _NO_TOKEN if _strips_padding(model) else 0,
        "use_cache": workload.cache != "none",
        "disable_compile": True,
    }
    if workload.cache == "static":
        options["cache_implementation"] = "static"
    if kv_cache is None:
        model.generate(**inputs, **options)  # type: ignore[operator]
        return
    from planner.models.caches.make import caching

    length = inputs["input_ids"].shape[1] + options["max_new_tokens"]
    with caching(kv_cache, model, length) as cache:
        model.generate(**inputs, **options, past_key_values=cache)  # type: ignore[operator]


_NO_TOKEN = -1


def _strips_padding(model: nn.Module) -> bool:
    """Whisper cuts padding off its answer, and fails where nothing else was written."""
    return getattr(model.config, "model_type", None) == "whisper"
