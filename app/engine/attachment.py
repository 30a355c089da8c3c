"""What a worker is: its identity, its labels, and the row that says it is alive."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psutil
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.devices.measured import remember_context
from app.engine.queues import ANSWERING, run_queue
from app.errors import WorkerIdTaken
from app.kit.clock import current_time, database_now
from app.models import Event, Worker, WorkerState
from planner.versions import versions
from profiler.labels import card_description, card_labels
from profiler.nvml import Gpu

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
            lock = path.open("a", encoding="utf-8")
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

    def _candidates(self) -> Sequence[str]:
        if self._wanted is not None:
            return [self._wanted]
        folder = hashlib.sha256(str(self._folder).encode()).hexdigest()[:6]
        return [f"{socket.gethostname()}-{folder}-{number}" for number in range(256)]


async def attach(database: Database, worker_id: str, attachment: Attachment) -> None:
    """Write the worker's row: it is online from now on."""
    async with database.write() as session:
        now = await current_time(session)
        await session.merge(
            Worker(
                id=worker_id,
                state=WorkerState.ONLINE,
                labels=attachment.labels,
                run_queue=run_queue(attachment.labels),
                simulates=attachment.simulates,
                device=attachment.device,
                versions=versions(),
                hostname=socket.gethostname(),
                pid=os.getpid(),
                jobs=[],
                started_at=now,
                last_seen_at=now,
            )
        )
        session.add(_state_event(worker_id, WorkerState.ONLINE))
        await _remember_context(session, worker_id, attachment)


async def _remember_context(session: AsyncSession, worker_id: str, attachment: Attachment) -> None:
    """What the worker measured of its card is known of the card's profile from now on."""
    device, profile = attachment.device, attachment.labels.get("profile")
    if profile is None or device.get("context_bytes") is None:
        return
    source = (
        f"measured by worker {worker_id} on {device['name']}, driver {device['driver']}, "
        f"CUDA {device['cuda']}; with cuBLAS, without further kernels"
    )
    notes = "".join(f"; {note}" for note in device["context_notes"])
    await remember_context(session, profile, device["context_bytes"], source + notes)


async def heartbeat(database: Database, worker_id: str, jobs: Sequence[str]) -> bool:
    """Say that the worker is alive, and at what; False where it is not known any more."""
    async with database.write() as session:
        worker = await session.get(Worker, worker_id)
        if worker is None:
            return False
        worker.last_seen_at = database_now()
        worker.jobs = list(jobs)
        if worker.state == WorkerState.LOST:
            # It was frozen and taken for dead, and is back.
            worker.state = WorkerState.ONLINE
            session.add(_state_event(worker_id, WorkerState.ONLINE))
    return True


async def drain(database: Database, worker_id: str) -> None:
    """Write that the worker takes no more jobs."""
    async with database.write() as session:
        worker = await session.get(Worker, worker_id)
        if worker is not None:
            worker.state = WorkerState.DRAINING
            session.add(_state_event(worker_id, WorkerState.DRAINING))


async def detach(database: Database, worker_id: str) -> None:
    """Write that the worker is gone."""
    async with database.write() as session:
        worker = await session.get(Worker, worker_id)
        if worker is not None:
            worker.state = WorkerState.OFFLINE
            worker.jobs = []
            session.add(_state_event(worker_id, WorkerState.OFFLINE))


def _state_event(worker_id: str, state: str) -> Event:
    data = {"id": worker_id, "kind": "worker", "state": state}
    return Event(kind="worker", resource_id=worker_id, data=data)
