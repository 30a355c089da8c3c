"""Configurations of `transformers`, made strictly from what a user wrote."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from planner.errors import FieldProblem, InvalidRequest
from planner.models.fields import (
    class_of,
    default_config,
    field_problems,
    is_part,
    without_metadata,
)
from planner.models.geometry import geometry_problems
from planner.models.positions import position_problems
from planner.request import TransformersModel, Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_ROOT = "/model/config"


def make_config(description: TransformersModel, workload: Workload) -> PreTrainedConfig:
    """The library's configuration object for a description.

    Raises:
        InvalidRequest: fields are unknown, unsafe, of the wrong type, absurd, or contradict each
            other or the workload; all that were found are named.
    """
    config_class = class_of(description.config["model_type"])
    if config_class is None:
        raise InvalidRequest([_unknown_type(description.config["model_type"])])
    problems = [*field_problems(description.config), *_image_size_problems(description, workload)]
    if problems:
        raise InvalidRequest(problems)
    config = _instantiate(config_class, description, workload)
    if problems := list(_part_problems(config, description)):
        raise InvalidRequest(problems)
    problems = [
        *geometry_problems(config),
        *position_problems(config, workload, description.task),
        *_start_token_problems(config),
    ]
    if problems:
        raise InvalidRequest(problems)
    _complete(config, description)
    return config


def _unknown_type(model_type: str) -> FieldProblem:
    from transformers import CONFIG_MAPPING

    close = difflib.get_close_matches(model_type, list(CONFIG_MAPPING), n=1)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    return FieldProblem(
        f"{_ROOT}/model_type",
        f"unknown model type {model_type!r}",
        f"{hint}GET /v1/models lists the model types of each task",
    )


def _image_size_problems(description: TransformersModel, workload: Workload) -> list[FieldProblem]:
    given = description.config.get("image_size")
    if workload.image_size is None or given in (None, workload.image_size):
        return []
    return [
        FieldProblem(
            "/workload/image_size",
            f"{workload.image_size} contradicts /model/config/image_size {given}",
            "give one of them",
        )
    ]


def _instantiate(
    config_class: type[PreTrainedConfig], description: TransformersModel, workload: Workload
) -> PreTrainedConfig:
    fields = without_metadata(description.config, config_class)
    fields.pop("model_type")
    default = vars(default_config(cast(Any, config_class)) or object).get("image_size")
    if workload.image_size is not None and default is not None:
        side = workload.image_size
        fields["image_size"] = side if isinstance(default, int) else [side] * len(default)
    try:
        config: PreTrainedConfig = config_class(**fields)
    except Exception as error:  # whatever a class raises, the fields caused it
        raise InvalidRequest([_library_problem(error, description.config)]) from error
    return config


def _library_problem(error: Exception, fields: dict[str, Any]) -> FieldProblem:
    from huggingface_hub.errors import (
        StrictDataclassClassValidationError,
        StrictDataclassFieldValidationError,
    )

    cause = error.__cause__ or error
    detail = " ".join(str(cause).split()) or type(cause).__name__
    if isinstance(error, StrictDataclassFieldValidationError):
        # The name is only in the message: "Validation error for field 'n_layer': ...".
        name = str(error).split("'")[1]
        pointer = _pointer_to(name, fields) or f"{_ROOT}/{name}"
        return FieldProblem(pointer, detail, "give a value of the type that the field has")
    if not isinstance(error, StrictDataclassClassValidationError):
        detail = f"{type(cause).__name__}: {detail}"
    return FieldProblem(
        _pointer_named_in(detail, fields), detail, "correct the fields that it names"
    )


def _pointer_named_in(detail: str, fields: dict[str, Any]) -> str:
    """The field that a message of the library speaks of, in its name's spelling or in words."""
    words = detail.lower().replace("number of ", "num_").replace(" ", "_")
    for name in _names(fields):
        if name in words and (found := _pointer_to(name, fields)):
            return found
    return _ROOT


def _part_problems(config: PreTrainedConfig, given: TransformersModel) -> Iterator[FieldProblem]:
    """Parts that the class does not have: it leaves them what they were, and then reads them."""
    usual = vars(default_config(cast(Any, type(config))) or object)
    for name in given.config:
        left = getattr(config, name, None) if is_part(name) else None
        if isinstance(left, dict) and not isinstance(usual.get(name), dict):
            yield FieldProblem(
                f"{_ROOT}/{name}",
                f"{config.model_type} has no part of this name",
                "remove it, and give its fields themselves",
            )


def _start_token_problems(config: PreTrainedConfig) -> Iterator[FieldProblem]:
    """A decoder starts with a token that its vocabulary must have."""
    start = getattr(config, "decoder_start_token_id", None)
    size = getattr(config.get_text_config(decoder=True), "vocab_size", None)
    known = isinstance(start, int) and isinstance(size, int) and start >= size
    if config.is_encoder_decoder and known:
        yield FieldProblem(
            f"{_ROOT}/decoder_start_token_id",
            f"decoder_start_token_id {start} is outside a vocabulary of {size}",
            f"set it below {size}, or raise vocab_size",
        )


def _names(fields: dict[str, Any]) -> list[str]:
    """Field names, longest first, so that `hidden_size` is not taken for `size`."""
    names = set(fields)
    for value in fields.values():
        if isinstance(value, dict):
            names |= set(_names(value))
    return sorted(names - {"model_type"}, key=lambda name: (-len(name), name))


def _pointer_to(name: str, fields: dict[str, Any], pointer: str = _ROOT) -> str | None:
    if name in fields:
        return f"{pointer}/{name}"
    for key, value in fields.items():
        if isinstance(value, dict) and (found := _pointer_to(name, value, f"{pointer}/{key}")):
            return found
    return None


def _complete(config: PreTrainedConfig, description: TransformersModel) -> None:
    """Fill in what a checkpoint's own config.json brings and the bare class leaves open."""
    config.architectures = config.architectures or []
    if config.model_type == "reformer" and "is_decoder" not in description.config:
        # Its causal model asserts it; others only warn, and are built as described.
        config.is_decoder = description.task == "text-generation"
    if getattr(config, "languages", None) and hasattr(config, "default_language"):
        config.default_language = config.default_language or config.languages[0]
    if description.task == "text-classification":
        _complete_padding(config)
    if config.is_encoder_decoder:
        # Every published encoder-decoder names them; shifting labels right needs both.
        if getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = 0
        if getattr(config, "decoder_start_token_id", None) is None:
            config.decoder_start_token_id = config.pad_token_id


def _complete_padding(config: PreTrainedConfig) -> None:
    # Decoders find the last word of a row by its padding, and refuse batches without.
    text = config.get_text_config()
    if getattr(text, "pad_token_id", None) is None:
        config.pad_token_id = text.pad_token_id = 0
