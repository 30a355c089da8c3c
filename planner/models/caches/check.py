"""What can be known wrong about a cache policy before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from planner.errors import FieldProblem, InvalidRequest
from planner.kv_cache import KvCache, ThinkCache, WindowCache
from planner.request import SimulationRequest, TransformersModel

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_WHERE = "/strategy/kv_cache"


def kv_cache_problems(request: SimulationRequest) -> Iterator[FieldProblem]:
    """Problems with the policy that the workload and the kind of description have."""
    if request.strategy.kv_cache is None:
        return
    mode, cache = request.workload.mode, request.workload.cache
    if mode != "generation":
        yield FieldProblem(
            _WHERE, f"has a meaning only in generation, not in {mode}", "leave it out"
        )
    elif cache != "dynamic":
        yield FieldProblem(
            _WHERE, f"takes the place of the workload's cache, which is {cache}", 'use "dynamic"'
        )
    if not isinstance(request.model, TransformersModel):
        yield FieldProblem(_WHERE, "is for models of transformers", "leave it out")
    elif request.model.task != "text-generation":
        yield FieldProblem(_WHERE, f"is for text-generation, not {request.model.task}")


def model_problems(
    choice: KvCache, model: TransformersModel, model_class: Any
) -> Iterator[FieldProblem]:
    """Problems with the policy that a class of the library has."""
    if not model_class._supports_default_dynamic_cache():
        yield FieldProblem(
            _WHERE, f"{model_class.__name__} has no cache of keys and values", "leave it out"
        )
    elif isinstance(choice, WindowCache) and _counts_distance_by_place(model):
        yield FieldProblem(
            f"{_WHERE}/kind",
            f"{model_class.__name__} takes a key's distance from its place in the cache, which "
            "a window changes",
            'use "quantized"',
        )
    elif isinstance(choice, ThinkCache) and not model_class._can_set_attn_implementation():
        yield FieldProblem(
            f"{_WHERE}/kind",
            f"{model_class.__name__} does not let its attention be chosen",
            'use "window" or "quantized"',
        )
    elif isinstance(choice, ThinkCache) and not (
        model_class._supports_sdpa and model.attention in (None, "sdpa")
    ):
        yield FieldProblem(
            f"{_WHERE}/kind", "think computes the prompt with sdpa attention", 'use "sdpa"'
        )


def layer_problems(request: SimulationRequest, config: PreTrainedConfig) -> Iterator[FieldProblem]:
    """Problems with the policy that the kinds of the model's layers have."""
    from planner.models.caches.make import make_cache

    choice, workload = request.strategy.kv_cache, request.workload
    if choice is None or workload.new_tokens is None:
        return
    tokens = workload.sequence_length + workload.new_tokens
    try:
        make_cache(choice, config.get_text_config(decoder=True), tokens)
    except InvalidRequest as error:
        yield from error.errors


def _counts_distance_by_place(model: TransformersModel) -> bool:
    """Whether attention has a bias by distance (ALiBi, arXiv 2108.12409), whose models count keys.

    `bloom` and `mpt` always, `falcon` by a field of its configuration.
    """
    return model.config["model_type"] in ("bloom", "mpt") or bool(model.config.get("alibi"))
