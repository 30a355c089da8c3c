"""Configurations of `transformers`, made strictly from what a user wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.errors import InvalidRequest
from planner.request import TransformersModel, Workload

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def make_config(description: TransformersModel, workload: Workload) -> PreTrainedConfig:
    """The library's configuration object for a description.

    Raises:
        InvalidRequest: a field is unknown, has the wrong type, or contradicts another.
    """
    from transformers import CONFIG_MAPPING

    fields = dict(description.config)
    model_type = fields.pop("model_type")
    if model_type not in CONFIG_MAPPING:
        raise InvalidRequest.at("/model/config/model_type", f"unknown model type {model_type!r}")
    try:
        config = CONFIG_MAPPING[model_type](**fields)
    except (TypeError, ValueError) as error:
        raise InvalidRequest.at("/model/config", str(error)) from error
    config.architectures = config.architectures or []
    return config
