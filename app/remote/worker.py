"""A worker process without the database: what it is, and the service that it works for.

What it is sent are data; the children that work on them are bounded by its own settings, too.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import replace
from uuid import UUID, uuid4

from pydantic import ValidationError

from app.engine.assignment import ExecutorLike
from app.engine.machine import (
    Attachment,
    WorkerSlot,
    describe_worker,
    measured_context,
    only_card,
    with_isolation,
)
from app.gateway.schemas import WorkerAttach
from app.remote.address import Address
from app.remote.service import Service
from app.remote.session import RemoteWorker
from app.telemetry import logs, tracing
from app.worker_settings import WorkerSettings
from planner.errors import HeadroomError
from planner.versions import versions
from profiler.executor import Executor
from profiler.isolation import hide_memory


def main(
    address: Address,
    settings: WorkerSettings | None = None,
    *,
    labels: dict[str, str] | None = None,
    worker_id: str | None = None,
    simulates: bool | None = None,
    parent_pid: int | None = None,
    gpu: str | None = None,
    executor: ExecutorLike | None = None,
) -> None:
    """Attach a worker to a service over HTTP and work until SIGTERM or SIGINT. Blocking.

    All but the address is as in `app.engine.worker.main`.

    Raises:
        DeviceUnusable: there is no such card, or torch cannot use it.
        WorkerIdTaken: another worker with this id lives.
        Refused: the service takes no such worker; the message says why.
    """
    settings = settings or WorkerSettings()
    logs.configure(settings, "worker")
    if settings.isolation != "off":
        hide_memory()  # the key is in it, and jobs run as the same user
    with WorkerSlot(settings.data_dir, worker_id) as slot:
        logs.identify(worker_id=slot.worker_id)
        card = None if gpu is None else only_card(gpu)
        attachment = describe_worker(labels, simulates, card)
        with tracing.exported("headroom-worker", slot.worker_id):
            asyncio.run(_work(address, settings, slot, attachment, executor, parent_pid))


async def _work(
    address: Address,
    settings: WorkerSettings,
    slot: WorkerSlot,
    attachment: Attachment,
    executor: ExecutorLike | None,
    parent_pid: int | None,
) -> None:
    own = None
    if executor is None:
        attachment = await with_isolation(attachment, settings.isolation)
        executor = own = Executor(isolation=settings.isolation)
        await own.start()
    try:
        if own is not None and "uuid" in attachment.device:
            measured = await measured_context(own)
            attachment = replace(attachment, device={**attachment.device, **measured})
        session_id = uuid4()
        body = _introduction(slot, attachment, session_id)
        async with address.client() as client:
            service = Service(client, session_id)
            await RemoteWorker(service, settings, body, executor, parent_pid).live()
    finally:
        if own is not None:
            await own.stop()


def _introduction(slot: WorkerSlot, attachment: Attachment, session_id: UUID) -> WorkerAttach:
    before = slot.leave(str(session_id))
    replaces = None
    with suppress(ValueError):
        replaces = UUID(before)
    said = {
        "worker_id": slot.worker_id,
        "labels": attachment.labels,
        "simulates": attachment.simulates,
        "device": attachment.device,
        "versions": versions(),
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
        "replaces": replaces,
    }
    try:
        return WorkerAttach.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HeadroomError(f"no service takes such a worker: {where}: {first['msg']}") from None
