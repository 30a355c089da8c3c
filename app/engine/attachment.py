"""The row that says that a worker is alive, and what it is."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.devices.measured import remember_context
from app.engine.machine import Attachment
from app.engine.queues import run_queue
from app.kit.clock import current_time, database_now
from app.models import Event, Worker, WorkerState
from planner.versions import versions


@dataclass(frozen=True)
class Process:
    """The process that a worker is, and for one over HTTP the session that it attached with."""

    hostname: str
    pid: int
    versions: dict[str, str]
    session_id: str | None = None
    key_id: str | None = None


async def attach(database: Database, worker_id: str, attachment: Attachment) -> None:
    """Write the row of a worker that is this process: it is online from now on."""
    process = Process(socket.gethostname(), os.getpid(), versions())
    async with database.write() as session:
        await enter(session, worker_id, attachment, process)


async def enter(
    session: AsyncSession, worker_id: str, attachment: Attachment, process: Process
) -> None:
    """Write a worker's row, in the place of one that the same worker had before."""
    now = await current_time(session)
    await session.merge(
        Worker(
            id=worker_id,
            state=WorkerState.ONLINE,
            labels=attachment.labels,
            run_queue=run_queue(attachment.labels),
            simulates=attachment.simulates,
            device=attachment.device,
            versions=process.versions,
            hostname=process.hostname,
            pid=process.pid,
            session_id=process.session_id,
            key_id=process.key_id,
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
