"""The cache of a policy, made for one generation of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from planner.errors import InvalidRequest
from planner.kv_cache import KvCache, QuantizedCache, ThinkCache, WindowCache
from planner.models.caches.quantized import QuantizedLayer
from planner.models.caches.think import ThinkLayer, attending_to
from planner.models.caches.window import WindowLayer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def make_cache(choice: KvCache, config: PreTrainedConfig, tokens: int) -> DynamicCache:
    """The library's own cache, with the policy in its layers of full attention.

    Args:
        tokens: of prompt and answer; a layer that attends to a window no shorter than that is one
        of full attention.

    Raises:
        InvalidRequest: the model has no such layer.
    """
    cache = DynamicCache(config=config)
    chosen = [i for i, layer in enumerate(cache.layers) if _attends_to_all(layer, tokens)]
    if not chosen:
        raise InvalidRequest.at(
            "/strategy/kv_cache",
            f"{config.model_type} has no layer whose cache holds all {tokens} tokens",
            "leave it out",
        )
    for index in chosen:
        cache.layers[index] = _layer(choice)
    return cache


def _attends_to_all(layer: Any, tokens: int) -> bool:
    if type(layer) is DynamicSlidingWindowLayer:
        return bool(layer.sliding_window >= tokens)
    return type(layer) is DynamicLayer


def _layer(choice: KvCache) -> DynamicLayer:
    if isinstance(choice, WindowCache):
        return WindowLayer(choice)
    if isinstance(choice, QuantizedCache):
        return QuantizedLayer(choice)
    return ThinkLayer(choice)


@contextmanager
def caching(choice: KvCache, model: Any, tokens: int) -> Iterator[DynamicCache]:
    """Within, the model generates up to so many tokens with the cache that is handed out."""
    cache = make_cache(choice, model.config.get_text_config(decoder=True), tokens)
    if not isinstance(choice, ThinkCache):
        yield cache
        return
    with attending_to(cache, model):
        yield cache
