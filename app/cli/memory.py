"""Bytes, as options write them."""

from __future__ import annotations

from app.cli.errors import usage_error
from planner.quantities import parse_bytes


def parse_memory(text: str, option: str = "--memory") -> int:
    """`"24GiB"` or `"1024"` of an option as a number of bytes.

    Raises:
        CliError: it is neither.
    """
    try:
        count = parse_bytes(int(text) if text.isdigit() else text)
    except ValueError as error:
        raise usage_error(f"{option} {text}: {error}") from None
    assert isinstance(count, int)
    return count
