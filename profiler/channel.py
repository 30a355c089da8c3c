"""The child's end of its connection to the executor: progress out, one result at the end."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Any

from profiler.frames import Frame, send
from profiler.limits import Limits

_PROGRESS_INTERVAL_SECONDS = 0.1


@dataclass(frozen=True)
class JobResult:
    """What a job hands back: JSON, and binary artifacts by name."""

    result: dict[str, Any]
    artifacts: dict[str, bytes] = field(default_factory=dict)


class Channel:
    """Sends what a job has to say. Phases always go out, so that they are known after a SIGKILL."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self._connection = connection
        self.limits = limits
        self._last_progress = 0.0
        self.phase: str | None = None

    def progress(self, message: dict[str, Any]) -> None:
        """Report JSON-ready progress: a new `phase` at once, else at most ten times a second."""
        phase = message.get("phase")
        now = time.monotonic()
        changed = phase is not None and phase != self.phase
        if not changed and now - self._last_progress < _PROGRESS_INTERVAL_SECONDS:
            return
        self._last_progress = now
        if changed:
            self.phase = str(phase)
        send(self._connection, Frame("progress", message))

    def succeeded(self, outcome: JobResult) -> None:
        """End with a result."""
        send(self._connection, Frame("succeeded", outcome.result, outcome.artifacts))

    def failed(self, problem: dict[str, Any]) -> None:
        """End with a problem object."""
        send(self._connection, Frame("failed", {"problem": problem}))

    def out_of_memory(self, detail: str, extra: dict[str, Any]) -> None:
        """End because memory ran out, in the phase last reported unless `extra` names another."""
        body = {"phase": self.phase, **extra, "detail": detail}
        send(self._connection, Frame("out_of_memory", body))
