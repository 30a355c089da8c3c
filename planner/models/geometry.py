"""Sizes that must fit each other: heads and widths, patches and images, lengths and positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from planner.errors import FieldProblem
from planner.models.fields import default_config
from planner.request import Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_WIDTHS = ("attention_hidden_size", "hidden_size", "d_model", "dim", "emb_dim", "n_embd")
_HEADS = ("num_attention_heads", "num_heads", "n_heads", "n_head")
_KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
# With one of these the width of a head is no quotient, and heads need not divide the width.
_HEAD_WIDTHS = (
    *("head_dim", "d_kv", "d_head", "dim_head", "attention_head_size", "kv_channels"),
    *("qk_head_dim", "qk_nope_head_dim", "attention_head_dim", "true_hidden_size", "kv_lora_rank"),
)
_STAGE_WIDTHS = ("hidden_sizes", "embed_dims", "embed_dim", "encoder_hidden_sizes")

Found = Iterator[FieldProblem]


def geometry_problems(
    config: PreTrainedConfig,
    pointer: str = "/model/config",
    role: PreTrainedConfig | None = None,
) -> Found:
    """Contradictions between sizes, in the configuration and those nested in it.

    A rule is only applied where the library's own defaults obey it, those of the class and those
    that its `role` in a larger model gives it: what is broken by default, the model does not need.
    """
    default = default_config(cast(Any, type(config)))
    references = [part for part in (default, role) if part is not None]
    for rule in (_heads, _key_value_heads, _encoder_decoder_heads, _stage_heads, _patches):
        if references and not any(list(rule(part, "")) for part in references):
            yield from rule(config, pointer)
    for name in config.sub_configs:
        nested = vars(config).get(name)
        if hasattr(nested, "sub_configs"):
            given = vars(default).get(name) if default is not None else None
            same = given if isinstance(given, type(nested)) else None
            yield from geometry_problems(
                cast("PreTrainedConfig", nested), f"{pointer}/{name}", same
            )


def field_name(config: PreTrainedConfig, name: str) -> str:
    """The spelling of a standard field in this class: `num_attention_heads` is gpt2's `n_head`."""
    return config.attribute_map.get(name, name)


def _integer(config: PreTrainedConfig, names: tuple[str, ...]) -> tuple[str, int] | None:
    for name in names:
        own = field_name(config, name)
        value = vars(config).get(own)
        if isinstance(value, int) and not isinstance(value, bool):
            return own, value
    return None


def _heads(config: PreTrainedConfig, pointer: str) -> Found:
    width, heads = _integer(config, _WIDTHS), _integer(config, _HEADS)
    if width is None or heads is None or _has_own_head_width(config, width[1], heads[1]):
        return
    if width[1] % heads[1]:
        yield FieldProblem(
            f"{pointer}/{heads[0]}",
            f"{heads[0]} {heads[1]} does not divide {width[0]} {width[1]}",
            f"choose {heads[0]} so that {width[0]} is a multiple of it; {_divisors(width[1])}",
        )


def _has_own_head_width(config: PreTrainedConfig, width: int, heads: int) -> bool:
    explicit = _integer(config, _HEAD_WIDTHS)
    # Several classes fill in head_dim = hidden_size // heads themselves.
    return explicit is not None and not (
        explicit[0] == "head_dim" and explicit[1] == width // max(heads, 1)
    )


def _key_value_heads(config: PreTrainedConfig, pointer: str) -> Found:
    heads, shared = _integer(config, _HEADS), _integer(config, _KEY_VALUE_HEADS)
    if heads is None or shared is None:
        return
    if shared[1] < 1 or heads[1] % shared[1]:
        yield FieldProblem(
            f"{pointer}/{shared[0]}",
            f"{shared[0]} {shared[1]} does not divide {heads[0]} {heads[1]}",
            f"{_divisors(heads[1])}",
        )


def _encoder_decoder_heads(config: PreTrainedConfig, pointer: str) -> Found:
    width = _integer(config, ("d_model", "hidden_size"))
    if width is None or _integer(config, _HEAD_WIDTHS) is not None:
        return
    for name in ("encoder_attention_heads", "decoder_attention_heads"):
        heads = vars(config).get(name)
        if isinstance(heads, int) and (heads < 1 or width[1] % heads):
            yield FieldProblem(
                f"{pointer}/{name}",
                f"{name} {heads} does not divide {width[0]} {width[1]}",
                _divisors(width[1]),
            )


def _stage_heads(config: PreTrainedConfig, pointer: str) -> Found:
    name = next((n for n in ("num_attention_heads", "num_heads") if _is_list(config, n)), None)
    widths = _stage_widths(config)
    if name is None or widths is None or len(vars(config)[name]) > len(widths):
        return
    if _is_list(config, "key_dim"):  # LeViT's heads have widths of their own
        return
    for stage, heads in enumerate(vars(config)[name]):
        if not isinstance(heads, int) or heads < 1 or widths[stage] % heads:
            yield FieldProblem(
                f"{pointer}/{name}/{stage}",
                f"{heads} heads do not divide the width {widths[stage]} of stage {stage}",
                _divisors(widths[stage]),
            )


def _stage_widths(config: PreTrainedConfig) -> list[int] | None:
    for name in _STAGE_WIDTHS:
        value = vars(config).get(name)
        if isinstance(value, (list, tuple)) and all(isinstance(v, int) for v in value):
            return list(value)
        if name == "embed_dim" and isinstance(value, int) and _is_list(config, "depths"):
            # Hierarchical transformers (swin and its kin) double the width at each stage.
            return [value * 2**stage for stage in range(len(vars(config)["depths"]))]
    return None


def _is_list(config: PreTrainedConfig, name: str) -> bool:
    return isinstance(vars(config).get(name), (list, tuple))


def _patches(config: PreTrainedConfig, pointer: str) -> Found:
    image, patch = vars(config).get("image_size"), vars(config).get("patch_size")
    for side, pixels in zip(_pair(image), _pair(patch), strict=False):
        if pixels < 1 or pixels > side:
            yield FieldProblem(
                f"{pointer}/patch_size",
                f"patch_size {pixels} does not fit into image_size {side}",
                f"give a value from 1 to {side}",
            )
            return
        if side % pixels:
            yield FieldProblem(
                f"{pointer}/image_size",
                f"image_size {side} is no multiple of patch_size {pixels}",
                f"use {side // pixels * pixels} or {(side // pixels + 1) * pixels}",
            )
            return


def _pair(value: Any) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value, value)
    if isinstance(value, (list, tuple)) and all(isinstance(side, int) for side in value):
        return tuple(value[-2:])
    return ()


def _divisors(width: int) -> str:
    near = [n for n in range(1, min(width, 4096) + 1) if width % n == 0]
    return f"divisors of {width} are {', '.join(map(str, near[:16]))}"


def _axial_positions(config: PreTrainedConfig) -> int | None:
    """Positions of a Reformer: in training the sequence has exactly their product."""
    shape = vars(config).get("axial_pos_shape")
    if not vars(config).get("axial_pos_embds") or not isinstance(shape, (list, tuple)):
        return None
    return math.prod(shape)


def exact_length_problems(config: PreTrainedConfig, workload: Workload, task: str) -> Found:
    """Models that train on one length only: Reformer with axial positions, Perceiver on text."""
    if config.model_type == "perceiver" and task == "fill-mask":
        positions = config.max_position_embeddings
        if workload.mode == "train" and workload.sequence_length != positions:
            yield FieldProblem(
                "/workload/sequence_length",
                f"{workload.sequence_length} is not max_position_embeddings {positions},"
                " the length that its decoder always writes",
                f"use {positions}, or set /model/config/max_position_embeddings",
            )
    positions = _axial_positions(config)
    if positions is None:
        return
    total = workload.sequence_length + (workload.new_tokens or 0)
    if workload.mode != "train" and total > positions:
        yield FieldProblem(
            "/workload/sequence_length",
            f"{total} tokens are more than the {positions} positions of axial_pos_shape"
            f" {list(config.axial_pos_shape)}",
            f"use at most {positions}, or raise /model/config/axial_pos_shape",
        )
    if workload.mode == "train" and workload.sequence_length != positions:
        yield FieldProblem(
            "/workload/sequence_length",
            f"{workload.sequence_length} is not the product of axial_pos_shape"
            f" {list(config.axial_pos_shape)}, as training this model needs",
            f"use {positions}, or set /model/config/axial_pos_shape to two factors of it",
        )
