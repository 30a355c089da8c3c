"""What concerns a worker wherever it is: settings that also one without the database reads."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from planner.quantities import Bytes


def default_data_dir() -> Path:
    """Where the platform keeps an application's data (XDG; Application Support on macOS)."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Headroom"
    root = os.environ.get("XDG_DATA_HOME")
    return (Path(root) if root else Path.home() / ".local" / "share") / "headroom"


class WorkerSettings(BaseSettings):
    """Where it keeps its things, and what its jobs may take. `HEADROOM_<FIELD>` each."""

    model_config = SettingsConfigDict(env_prefix="HEADROOM_", extra="ignore")

    data_dir: Path = Field(
        default_factory=default_data_dir, description="everything the embedded mode writes"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="least severe lines that are logged"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: JSON, one object a line, unless stderr is a terminal"
    )
    simulations_at_once: int = Field(
        default=1, ge=1, description="simulations that one worker traces at the same time"
    )
    simulation_timeout_s: float = Field(default=300.0, gt=0)
    simulation_memory_bytes: Bytes = Field(default=8 * 1024**3)
    plan_timeout_s: float = Field(
        default=1800.0, gt=0, description="a plan has the memory limit of a simulation"
    )
    isolation: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="how jobs are shut in, beside their limits: as far as the kernel can; by all "
        "layers, or the worker does not start; not at all",
    )
    run_timeout_s: float = Field(default=1800.0, gt=0)
    run_memory_bytes: Bytes | None = Field(
        default=None, description="memory limit of a run on CPU; default: what the machine has"
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @property
    def secrets(self) -> list[str]:
        """What must never be logged."""
        return []

    def as_environment(self) -> dict[str, str]:
        """Variables that make a child process have the same settings."""
        return {
            f"HEADROOM_{name.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in self.model_dump().items()
            if value is not None
        }
