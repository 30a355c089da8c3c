"""How a job ended, as the executor's caller sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from planner.errors import HeadroomError

Status = Literal["succeeded", "failed", "out_of_memory"]


class RunOutOfMemory(HeadroomError):
    """The workload passed the memory that it was given."""

    type = "out-of-memory"
    title = "The workload does not fit in memory"


@dataclass(frozen=True)
class ChildExit:
    """How the child process ended.

    Attributes:
        code: its exit status, or None when a signal ended it.
        signal: the signal's name, such as `SIGKILL`.
        phase: the last phase that it said to be in.
        log: the end of what it wrote to stdout and stderr.
    """

    code: int | None = None
    signal: str | None = None
    phase: str | None = None
    peak_rss_bytes: int | None = None
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    log: str = ""


@dataclass(frozen=True)
class Outcome:
    """The end of a job: a result when it succeeded, else a problem object (RFC 9457, no status)."""

    status: Status
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None
    artifacts: dict[str, bytes] = field(default_factory=dict)
    exit: ChildExit = field(default_factory=ChildExit)
