"""Fields of a configuration as the user wrote them: known names, safe values, sane sizes.

All of this happens before the library sees a value, so that 10^9 layers never become a list and a
field that would load code is never read.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import FieldProblem

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

ConfigClass = Any  # a class of configurations; its metaclass is unknown to the type checker

# Written by the library or by people into real config.json files, without effect on the model.
METADATA = frozenset(
    """architectures transformers_version torch_dtype dtype _name_or_path name_or_path
    _commit_hash _num_labels _attn_implementation_autoset task_specific_params finetuning_task
    tokenizer_class processor_class feature_extractor_type image_processor_type prefix language
    license torchscript gradient_checkpointing use_bfloat16 pruned_heads unsloth_version
    unsloth_fixed transformers.js_config model_max_length output_past n_ctx pad_token sep_token
    directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type predict_special_tokens add_bias_logits
    add_final_layer_norm classif_dropout normalize_before normalize_embedding
    static_position_embeddings force_bos_token_to_be_generated extra_pos_embeddings
    net_structure_type num_memory_blocks down_scale_factor gap_size ff_activation untie_r
    position_embedding_type tie_weights_ tie_encoder_decoder cross_attention_hidden_size
    is_decoder add_cross_attention use_cache tie_word_embeddings pretraining_tp""".split()  # noqa: SIM905
)
# Of these, the ones that a model may read even though its class does not declare them.
_READ = frozenset({"is_decoder", "add_cross_attention", "use_cache", "tie_word_embeddings"})
# Given to models by their checkpoints, read by their heads or by generation.
_TOKEN_IDS = frozenset(
    f"{name}_token_id"
    for name in ("bos", "eos", "pad", "sep", "cls", "unk", "mask", "decoder_start")
)
_COMMON = frozenset(
    {"num_labels", "id2label", "label2id", "problem_type", "return_dict"}
    | {"output_attentions", "output_hidden_states", "is_encoder_decoder", "model_type"}
)

_CODE = "would load code or weights from elsewhere; Headroom only builds the library's own classes"
_REFUSED = {
    "auto_map": _CODE,
    "trust_remote_code": _CODE,
    "custom_generate": _CODE,
    "custom_pipelines": _CODE,
    "quantization_config": "quantised weights are not supported",
    "use_pretrained_backbone": _CODE,
    "use_timm_backbone": "needs weights and code of the package timm",
    "backbone": "names a checkpoint to fetch",
    "backbone_kwargs": "belongs to a checkpoint to fetch",
    "peft_config": "adapters are given in /model/lora",
    "_adapter_model_path": "adapters are given in /model/lora",
    "transformers_weights": _CODE,
    "attn_implementation": "is chosen in /model/attention",
    "_attn_implementation": "is chosen in /model/attention",
    "_attn_implementation_internal": "is chosen in /model/attention",
    "experts_implementation": "is chosen in /model/experts",
    "_experts_implementation": "is chosen in /model/experts",
    "_experts_implementation_internal": "is chosen in /model/experts",
}
_REFUSED_TYPES = frozenset({"timm_backbone", "timm_wrapper"})
_REMEDIES = {"backbone": "remove it; describe the backbone itself in backbone_config"}
_DTYPES = frozenset(
    {"float32", "float16", "bfloat16", "float64", "torch.float32", "torch.float16", "auto"}
    | {"torch.bfloat16", "torch.float64", "half", "float"}
)


@dataclass(frozen=True)
class SizeRule:
    """Integer fields whose whole name matches lie between `low` and `high`."""

    name: re.Pattern[str]
    low: int
    high: int


def _rule(pattern: str, low: int, high: int) -> SizeRule:
    return SizeRule(re.compile(pattern), low, high)


# First match wins. Each limit is several times the largest value in any configuration class of
# the installed library (see tests/planner/models/test_fields.py, which holds them to that).
_SIZE_RULES = (
    _rule(r".*(_id|_ids|_index|_idx|_indices|seed)", -(2**31), 2**31),
    _rule(r".*vocab_size.*", 0, 2**26),
    _rule(r"vision_feature_layer|feature_layer|.*_feature_layers?", -4_096, 4_096),
    _rule(r"(num_hidden_layers|n_layers?|num_layers|(encoder|decoder)_layers)", 0, 4_096),
    _rule(r".*(layers?|depths?|blocks|stages|num_convs)(_\w+)?", -1, 65_536),
    _rule(r"(hidden_size|d_model|n_embd|patch_size|num_channels)", 1, 2**26),
    _rule(r"(num_attention_heads|num_heads|n_heads?|num_key_value_heads)", 1, 65_536),
    _rule(r".*heads(_\w+)?", 0, 65_536),
    _rule(r".*experts(_\w+)?", 0, 2**20),
    _rule(r"(n_positions|max_position_embeddings)", -1, 2**24),
    _rule(r"image_size", 1, 2**14),
    _rule(r"num_labels", 1, 2**17),  # the library makes a name of each
    _rule(r".*(_size|_dim|_channels|_width)", -1, 2**26),
)
_ANY_SIZE = _rule(r".*", -(2**31), 2**31)
_WIDTH_LIMIT = 2**20
_WIDTHS = re.compile(r"(hidden_size|d_model|n_embd|intermediate_size|d_ff|.*_dim|num_channels)")


def size_rule(name: str) -> SizeRule:
    """The bounds of an integer field, by its name."""
    rule = next((rule for rule in _SIZE_RULES if rule.name.fullmatch(name)), _ANY_SIZE)
    if _WIDTHS.fullmatch(name):
        return SizeRule(rule.name, rule.low, min(rule.high, _WIDTH_LIMIT))
    return rule


def field_problems(config: dict[str, Any], pointer: str = "/model/config") -> list[FieldProblem]:
    """What is wrong with the fields before the library sees them, nested ones included."""
    config_class = class_of(config.get("model_type"))
    return list(_problems(config, config_class, pointer))


def _problems(
    config: dict[str, Any],
    config_class: ConfigClass | None,
    pointer: str,
    further_names: frozenset[str] = frozenset(),
) -> Iterator[FieldProblem]:
    names = known_names(config_class) | further_names if config_class else None
    for name, value in config.items():
        here = f"{pointer}/{_escape(name)}"
        if name in _REFUSED:
            if value is not None and value is not False:
                yield FieldProblem(here, _REFUSED[name], _REMEDIES.get(name, "remove it"))
            continue
        if name == "model_type" and isinstance(value, str) and value in _REFUSED_TYPES:
            yield FieldProblem(here, _REFUSED["use_timm_backbone"], "choose another model type")
            continue
        if names is not None and name not in names:
            yield FieldProblem(here, *_unknown(name, names, config_class))
            continue
        yield from _value_problems(name, value, config_class, here)


def _value_problems(
    name: str, value: Any, parent: ConfigClass | None, here: str
) -> Iterator[FieldProblem]:
    if name in ("dtype", "torch_dtype") and not _is_dtype(value):
        shown = repr(value)[:60]
        yield FieldProblem(here, f"{shown} is no dtype", "remove it; /workload/precision decides")
    elif isinstance(value, dict):
        nested = _nested_class(name, value, parent)
        given = value.get("model_type")
        known_part = parent is not None and name in parent.sub_configs_defaults
        if known_part and not _is_model_type(given, nested):
            unknown = f"unknown model type {repr(given)[:60]}"
            yield FieldProblem(f"{here}/model_type", unknown, "leave it out, or name another")
            return
        yield from _problems(value, nested, here, _names_of_default(parent, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value_problems(name, item, parent, f"{here}/{index}")
    elif isinstance(value, int) and not isinstance(value, bool):
        canonical = (parent.attribute_map if parent else {}).get(name, name)
        rules = (size_rule(name), size_rule(canonical))
        low, high = max(rule.low for rule in rules), min(rule.high for rule in rules)
        if not low <= value <= high:
            yield FieldProblem(
                here, f"{value} is out of bounds", f"give a value from {low} to {high}"
            )


def _is_dtype(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in _DTYPES)


def _is_model_type(given: Any, nested: ConfigClass | None) -> bool:
    """Whether a part of a configuration is of a type: else the library leaves it a dict."""
    own = None if nested is None else nested.model_type
    return given in (None, own) or class_of(given) is not None


def _nested_class(
    name: str, value: dict[str, Any], parent: ConfigClass | None
) -> ConfigClass | None:
    spec = parent.sub_configs_defaults.get(name) if parent else None
    if spec is None:
        return class_of(value.get("model_type"))
    if isinstance(spec.config_class, type) and hasattr(spec.config_class, "sub_configs_defaults"):
        return spec.config_class
    return class_of(value.get("model_type") or spec.model_type)


def _names_of_default(parent: ConfigClass | None, name: str) -> frozenset[str]:
    """Names that the parent itself gives to a nested configuration."""
    default = default_config(parent) if parent else None
    nested = vars(default).get(name) if default is not None else None
    return frozenset(vars(nested)) if hasattr(nested, "sub_configs_defaults") else frozenset()


def class_of(model_type: object) -> ConfigClass | None:
    """The configuration class of a model type; None where the library has none."""
    from transformers import CONFIG_MAPPING

    _quiet_library()
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        return None
    found: ConfigClass = CONFIG_MAPPING[model_type]
    return found


@lru_cache
def _quiet_library() -> None:
    """Keep its warnings out of the log: they quote at length, as they are, what strangers wrote."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]


@lru_cache
def known_names(config_class: Any) -> frozenset[str]:
    """Every field name that a configuration class takes, legacy spellings included."""
    from transformers import GenerationConfig

    names = {field.name for field in fields(config_class)}
    names |= config_class.attribute_map.keys() | config_class.sub_configs_defaults.keys()
    names |= _legacy_names(config_class) | vars(GenerationConfig()).keys()  # type: ignore[no-untyped-call]
    names |= _names_read_by_model(config_class.__module__)
    default = default_config(config_class)
    # Derived values, such as swin's hidden_size, are written into real config.json files too.
    names |= vars(default).keys() if default is not None else set()
    return frozenset(names | METADATA | _TOKEN_IDS | _COMMON)


@lru_cache
def default_config(config_class: Any) -> PreTrainedConfig | None:
    """The class's own default configuration; None where it has no valid one."""
    try:
        default: PreTrainedConfig = config_class()
        return default
    except Exception:
        return None


_ROTARY = {"rope_theta", "rope_scaling"}
_BASE_INIT = "PreTrainedConfig.__post_init__"
_POPPED = re.compile(
    r"kwargs\.(?:pop|get|setdefault)\(\s*[\"'](\w+)[\"']|[\"'](\w+)[\"'] in kwargs"
)


def _legacy_names(config_class: ConfigClass) -> set[str]:
    # Classes take renamed fields out of `kwargs` in `__post_init__`; their source is the only list.
    names: set[str] = set()
    for base in config_class.__mro__:
        if not base.__module__.startswith("transformers."):
            continue
        for method in _methods(config_class):
            function = inspect.unwrap(vars(base)[method]) if method in vars(base) else None
            if inspect.isfunction(function):
                names |= _names_taken_by(function)
    return names


_READ_FIELD = re.compile(r"\bconfig\.([a-z_]\w*)|(?:get|has)attr\([\w.]*config, \"(\w+)\"")


@lru_cache
def _names_read_by_model(config_module: str) -> frozenset[str]:
    """Names that the modeling file beside a configuration file reads from it.

    Some checkpoints carry fields that their class does not declare and their model still obeys,
    such as DeBERTa v3's `position_buckets`.
    """
    spec = importlib.util.find_spec(config_module.replace(".configuration_", ".modeling_"))
    if spec is None or spec.origin is None:
        return frozenset()
    found = _READ_FIELD.findall(Path(spec.origin).read_text())
    return frozenset(first or second for first, second in found)


def _methods(config_class: ConfigClass) -> tuple[str, ...]:
    rotary = any(field.name == "rope_parameters" for field in fields(config_class))
    further = ("convert_rope_params_to_dict",) if rotary else ()
    return ("__post_init__", "__init__", *further)


def _names_taken_by(function: Any) -> set[str]:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    named = {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
        and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    popped = {first or second for first, second in _POPPED.findall(source)}
    # The base class looks for these in every configuration, only to warn where they are useless.
    return named | (popped - _ROTARY if function.__qualname__ == _BASE_INIT else popped)


def _unknown(name: str, names: frozenset[str], config_class: ConfigClass | None) -> tuple[str, str]:
    kind = config_class.model_type if config_class else "configuration"
    close = difflib.get_close_matches(name, names - METADATA, n=1, cutoff=0.6)
    remedy = f'did you mean "{close[0]}"?' if close else "remove it"
    return f"{kind} has no field {name!r}", remedy


def without_metadata(config: dict[str, Any], config_class: type | None = None) -> dict[str, Any]:
    """The fields to hand to the library, without what only describes a checkpoint, at any depth."""
    declared = {field.name for field in fields(config_class)} if config_class else frozenset()
    drop = (METADATA - _READ - declared - {"architectures"}) | {"dtype", "torch_dtype"}
    return {
        name: without_metadata(value) if isinstance(value, dict) and is_part(name) else value
        for name, value in config.items()
        if name not in drop | {"transformers_version"} and name not in _REFUSED
    }


def is_part(name: str) -> bool:
    """Whether a field holds a configuration of its own."""
    return name.endswith("_config") or name in ("encoder", "decoder", "generator")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
