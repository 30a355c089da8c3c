"""Times that a person writes, such as 90d."""

from __future__ import annotations

import re
from datetime import timedelta

from app.cli.errors import usage_error

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str, option: str) -> timedelta:
    """A number and m, h, d or w.

    Raises:
        CliError: it is none; the message names the option.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})([mhdw])", text)
    if found is None:
        raise usage_error(f"{option} {text!r} is no time; write it like 12h, 90d or 8w")
    return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})
