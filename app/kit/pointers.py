"""From pydantic's errors to JSON pointers (RFC 6901) with a detail and a remedy each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

Location = Sequence[str | int]
_ABSENT = object()
_COMPARISONS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "greater than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_KINDS = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "an object",
    "list_type": "an array",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def json_pointer(location: Location, body: Any) -> str:
    """The pointer into the body for pydantic's location of an error.

    Pydantic's locations also name the member of a union it tried; that is no part of the body and
    is left out by walking the body along. The last element may be missing from it.
    """
    parts: list[str] = []
    value = body
    for index, element in enumerate(location):
        inside = _step(value, element)
        if inside is not _ABSENT:
            value = inside
        elif index != len(location) - 1 or not isinstance(value, Mapping):
            continue
        parts.append(str(element).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)


def _step(value: Any, element: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(element, _ABSENT)
    if isinstance(value, list) and isinstance(element, int) and element < len(value):
        return value[element]
    return _ABSENT


def describe(error: Mapping[str, Any], body: Any, known_fields: Sequence[str]) -> dict[str, Any]:
    """One of pydantic's errors as `{"pointer", "detail", "remedy"}`."""
    kind, location = error["type"], list(error["loc"])
    if kind != "missing":
        location = _within(location, body)
    detail = str(error["msg"]).removeprefix("Value error, ")
    remedy = _remedy(error, known_fields)
    if remedy is None:
        # Our own validators write "what is wrong; what to do".
        detail, separator, rest = detail.partition("; ")
        remedy = rest if separator else "see this field's description in /docs"
    elif kind == "extra_forbidden":
        detail = f"there is no field {str(error['loc'][-1])[:100]!r} here"
    return {"pointer": json_pointer(location, body), "detail": detail, "remedy": remedy}


def _within(location: Location, body: Any) -> list[str | int]:
    """Only those elements that exist in the body: an error in a value, not about a missing one."""
    kept: list[str | int] = []
    value = body
    for element in location:
        inside = _step(value, element)
        if inside is not _ABSENT:
            kept.append(element)
            value = inside
    return kept


def _remedy(error: Mapping[str, Any], known_fields: Sequence[str]) -> str | None:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "add this field"
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(error["loc"][-1])[:100], known_fields, n=1)
        return f"remove it, or write {close[0]!r}" if close else "remove it"
    if kind in _COMPARISONS:
        name, words = _COMPARISONS[kind]
        return f"write a number that is {words} {context[name]}"
    if kind in ("literal_error", "union_tag_invalid"):
        return f"write one of {context.get('expected') or context.get('expected_tags')}"
    if kind == "union_tag_not_found":
        return f"add the field {context['discriminator']}"
    if kind in _KINDS:
        return f"write {_KINDS[kind]}"
    if kind == "string_too_long":
        return f"write at most {context['max_length']} characters"
    if kind == "string_too_short":
        return f"write at least {context['min_length']} characters"
    if kind == "string_pattern_mismatch":
        return f"write something that matches {context['pattern']}"
    return None
