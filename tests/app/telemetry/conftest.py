from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable

import pytest

from app.settings import Settings
from app.telemetry import logs


class Lines(io.StringIO):
    """What was logged, as the objects of its lines."""

    def all(self) -> list[dict]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, logger: str) -> list[dict]:
        return [line for line in self.all() if line["logger"] == logger]


@pytest.fixture
def logged(tmp_path) -> Callable[..., Lines]:
    """Starts to collect what this process logs under some settings."""
    root = logging.getLogger()
    level, added = root.level, []

    def start(**settings) -> Lines:
        lines = Lines()
        handler = logging.StreamHandler(lines)
        changed = Settings(data_dir=tmp_path, **settings)
        handler.setFormatter(logs._formatter(changed, is_terminal=False))
        root.addHandler(handler)
        root.setLevel(changed.log_level)
        added.append(handler)
        return lines

    yield start
    root.setLevel(level)
    for handler in added:
        root.removeHandler(handler)
