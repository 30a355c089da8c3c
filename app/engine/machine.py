"""What a worker is, without any database: its identity, its card, its labels."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import platform
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psutil

from app.engine.queues import ANSWERING, run_queue
from app.errors import DeviceUnusable, WorkerIdTaken
from profiler import nvml
from profiler.executor import Executor
from profiler.isolation import Mode
from profiler.isolation.probe import probe
from profiler.labels import card_description, card_labels
from profiler.nvml import Gpu

_log = logging.getLogger(__name__)
DEFAULT_LABELS = {"device": "cpu"}


@dataclass(frozen=True)
class Attachment:
    """What a worker offers."""

    labels: dict[str, str]
    simulates: bool
    device: dict[str, Any]

    @property
    def queues(self) -> list[str]:
        """Queues that the worker listens to."""
        return [run_queue(self.labels), *(ANSWERING if self.simulates else ())]


def describe_worker(
    labels: dict[str, str] | None, simulates: bool | None, card: Gpu | None = None
) -> Attachment:
    """This machine, or one card of it, as a worker with the given labels.

    Simulations and plans are left to workers on CPU unless `simulates` says otherwise.
    """
    found = DEFAULT_LABELS if card is None else card_labels(card)
    labels = {**found, **(labels or {})}
    on_cpu = labels["device"] == "cpu"
    device = {
        "kind": labels["device"],
        "name": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    if card is not None:
        device = card_description(card)
    return Attachment(labels, on_cpu if simulates is None else simulates, device)


class WorkerSlot:
    """A worker's id, held by a file lock: unique while the process lives, the same after a restart.

    The engine gives the jobs that a dead worker left behind to the next process of the same id.
    """

    def __init__(self, data_dir: Path, worker_id: str | None) -> None:
        self._folder = data_dir / "workers"
        self._wanted = worker_id
        self._lock: IO[str] | None = None
        self.worker_id = ""

    def __enter__(self) -> WorkerSlot:
        self._folder.mkdir(parents=True, exist_ok=True)
        for candidate in self._candidates():
            path = self._folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', candidate)}.lock"
            lock = path.open("a+", encoding="utf-8")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self._lock, self.worker_id = lock, candidate
            return self
        raise WorkerIdTaken(f"a worker with the id {self._wanted!r} runs already; choose another")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.close()

    def leave(self, note: str) -> str:
        """Leave a note to the next process of this id; returns that of the one before."""
        assert self._lock is not None
        self._lock.seek(0)
        found = self._lock.read()
        self._lock.truncate(0)
        self._lock.write(note)
        self._lock.flush()
        return found

    def _candidates(self) -> Sequence[str]:
        if self._wanted is not None:
            return [self._wanted]
        folder = hashlib.sha256(str(self._folder).encode()).hexdigest()[:6]
        return [f"{socket.gethostname()}-{folder}-{number}" for number in range(256)]


def only_card(uuid: str) -> Gpu:
    """Leave this process one card to see. Nothing may have asked CUDA for its devices yet."""
    for card in nvml.gpus():
        if card.uuid == uuid:
            os.environ["CUDA_VISIBLE_DEVICES"] = uuid
            return card
    raise DeviceUnusable(f"the driver knows no undivided card {uuid[:60]!r}")


async def measured_context(executor: Executor) -> dict[str, Any]:
    """What a context takes of the worker's card, as fields of the worker's device."""
    outcome = await executor.context()
    if outcome.result is None:
        reason = (outcome.problem or {}).get("detail", outcome.status)
        raise DeviceUnusable(
            f"a first product on the card failed: {reason}; install torch's build for its driver, "
            "free its memory, or start a worker with --label device=cpu"
        )
    found = outcome.result
    return {
        "context_bytes": found["context_bytes"],
        "context_notes": found["notes"],
        "cuda": found["cuda"],
    }


async def with_isolation(attachment: Attachment, mode: Mode) -> Attachment:
    """The attachment with what shuts jobs in on this machine, tried in a process of its own.

    Raises:
        IsolationUnavailable: the mode requires what this machine cannot give.
    """
    isolation = await asyncio.to_thread(probe, mode)
    if isolation.missing:
        _log.warning("jobs have no isolation of %s; see docs/security.md", isolation.missing)
    return replace(attachment, device={**attachment.device, "isolation": isolation.to_json()})
