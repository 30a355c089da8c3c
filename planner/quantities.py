"""Bytes as people write them: integers, or strings such as "24GiB" and "24GB"."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_FACTORS = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgtp", start=1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgtp", start=1)},
}
_LONGEST = 40  # characters; a float of 400 digits is infinite
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_bytes(value: object) -> object:
    """Turn `"24GiB"` or `"1.5 GB"` into an int of bytes; anything but a string passes through.

    Raises:
        ValueError: the string is no number with a known unit.
    """
    if not isinstance(value, str):
        return value
    match = _QUANTITY.fullmatch(value) if len(value) <= _LONGEST else None
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(
            'not a number of bytes; write an integer, or a string like "24GiB" or "24GB"'
        )
    return int(float(match[1]) * factor)


def format_bytes(count: int) -> str:
    """`1536` -> `"1.50 KiB"`; exact bytes stay in the JSON, this is for people."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TiB"


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0, le=2**60)]
