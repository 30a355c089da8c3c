"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import re
import secrets
import time

_ID = re.compile(r"[a-z]+_[0-9a-f]{28}")


def new_id(prefix: str) -> str:
    """`sim_`, 12 hex digits of milliseconds since the epoch, 16 random ones: newest sorts last."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether the text could have been made by `new_id(prefix)`."""
    return text.startswith(f"{prefix}_") and _ID.fullmatch(text) is not None
