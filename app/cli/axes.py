"""`--vary NAME=VALUE,...`: what differs between the combinations of a sweep or a search."""

from __future__ import annotations

import json
from typing import Any

from app.cli.errors import usage_error
from app.cli.model_source import parse_value
from planner.request import Workload


def varied(body: dict[str, Any], texts: list[str] | None) -> list[dict[str, Any]]:
    """The request's own axes and those of the options, which go before others of their pointer.

    Raises:
        CliError: an option is no axis.
    """
    own: list[dict[str, Any]] = body.get("vary", [])
    if not texts:
        return own
    asked = [parse_axis(text) for text in texts]
    pointers = {axis["pointer"] for axis in asked}
    axes = own if isinstance(own, list) else []
    kept = [axis for axis in axes if isinstance(axis, dict) and axis.get("pointer") not in pointers]
    return [*kept, *asked]


def parse_axis(text: str) -> dict[str, Any]:
    """`batch_size=1,2` -> `{"pointer": "/workload/batch_size", "values": [1, 2]}`.

    Raises:
        CliError: it has no name, no `=` or no values.
    """
    name, separator, values = text.partition("=")
    if not separator or not name or not values:
        raise usage_error(f"--vary {text}: write it as NAME=VALUE,..., such as batch_size=1,2,4")
    return {"pointer": _pointer(name), "values": parse_values(values, "--vary")}


def parse_values(text: str, option: str) -> list[Any]:
    """A JSON list, or values with commas between them.

    Raises:
        CliError: what looks like JSON is none; the message names the option.
    """
    if text.startswith("["):
        try:
            values: list[Any] = json.loads(text)
        except ValueError as error:
            raise usage_error(f"{option}: {text} is no valid JSON: {error}") from None
        return values
    return [parse_value(value.strip()) for value in text.split(",")]


def axis_names(pointers: list[str]) -> dict[str, str]:
    """Short names of axes: the last part of each pointer, or all of it where two end alike."""
    short = {pointer: pointer.rpartition("/")[2] for pointer in pointers}
    endings = [*short.values()]
    return {
        pointer: name.replace("_", " ") if endings.count(name) == 1 else pointer[1:]
        for pointer, name in short.items()
    }


def _pointer(name: str) -> str:
    if name.startswith("/"):
        return name
    plain = name.replace("-", "_")
    if plain in Workload.model_fields:
        return f"/workload/{plain}"
    places = {"device": "/device", "checkpointing": "/strategy/checkpointing"}
    return places.get(plain, f"/model/config/{name.replace('.', '/')}")
