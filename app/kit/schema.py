"""Looking into pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def known_fields(*models: type[BaseModel]) -> list[str]:
    """Names of all fields of the models, however deep."""
    names: set[str] = set()
    for model in models:
        _collect(model.model_json_schema(), names)
    return sorted(names)


def _collect(schema: Any, names: set[str]) -> None:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            names.update(properties)
        for value in schema.values():
            _collect(value, names)
    elif isinstance(schema, list):
        for value in schema:
            _collect(value, names)
