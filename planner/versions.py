"""Versions of everything that decides a prediction, without importing it."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTIONS = ("headroom", "torch", "transformers", "peft")
_UNINSTALLED = "0+source"


@lru_cache
def _versions() -> tuple[tuple[str, str], ...]:
    return (
        *((name, _version(name)) for name in _DISTRIBUTIONS),
        ("python", platform.python_version()),
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return _UNINSTALLED


def versions() -> dict[str, str]:
    """Package name -> version, of Headroom, its model libraries and Python."""
    return dict(_versions())
