"""The worker's side of the engine: a process that takes jobs off queues and executes them.

`python -m app.engine` attaches one to the service of the settings. The engine's threads only
carry jobs here; everything else happens in one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from app.database import Database
from app.engine import attachment as attachments
from app.engine import client as engine_client
from app.engine.assignment import ExecutorLike
from app.engine.client import APPLICATION_NAME, APPLICATION_VERSION, WORKFLOW, EngineClient
from app.engine.execution import JobExecution
from app.engine.machine import (
    Attachment,
    WorkerSlot,
    describe_worker,
    measured_context,
    only_card,
    with_isolation,
)
from app.engine.queues import SIMULATIONS
from app.engine.reaper import Reaper
from app.errors import NotMigrated
from app.jobs import lifecycle
from app.models.attempt import AttemptOutcome
from app.settings import Settings
from app.telemetry import logs, tracing
from profiler.executor import Executor
from profiler.isolation import hide_memory
from profiler.niceness import yield_to_others

_log = logging.getLogger(__name__)
#: Recoveries after which the engine itself gives up; our own cap of attempts acts long before.
_MAX_RECOVERIES = 50


class _Bridge:
    """Leads from the engine's event loop to the worker's own."""

    execution: JobExecution
    loop: asyncio.AbstractEventLoop


@DBOS.workflow(name=WORKFLOW, max_recovery_attempts=_MAX_RECOVERIES)
async def _execute_job(job_id: str) -> None:
    await _execute(job_id)


@DBOS.step(name="execute", preemptible=True)
async def _execute(job_id: str) -> None:
    # Cancelling the workflow cancels this step, which cancels the task, which kills the child.
    future = asyncio.run_coroutine_threadsafe(_Bridge.execution.execute(job_id), _Bridge.loop)
    await asyncio.wrap_future(future)


def main(
    settings: Settings | None = None,
    *,
    labels: dict[str, str] | None = None,
    worker_id: str | None = None,
    simulates: bool | None = None,
    parent_pid: int | None = None,
    gpu: str | None = None,
    executor: ExecutorLike | None = None,
) -> None:
    """Attach a worker to the service's engine and work until SIGTERM or SIGINT. Blocking.

    Args:
        settings: default: from the environment.
        labels: what runs may ask for, beside what is found out of the device.
        worker_id: unique among workers and stable over restarts; default: host, data folder and
            the first free number there.
        simulates: whether it takes simulations and plans besides runs; default: only where device
            is cpu.
        parent_pid: finish the job at hand and end when this process is no longer the parent.
        gpu: UUID of the card that runs are executed on; default: the CPU. This process and its
            children see no other.
        executor: what does the jobs; default `profiler.executor.Executor`.

    Raises:
        DeviceUnusable: there is no such card, or torch cannot use it.
        NotMigrated: this version does not work on the database's schema.
        IsolationUnavailable: the settings require an isolation that this machine cannot give.
    """
    settings = settings or Settings()
    logs.configure(settings, "worker")
    if settings.isolation != "off":
        hide_memory()  # the database's password is in it, and jobs run as the same user
    yield_to_others(settings.worker_nice)
    with WorkerSlot(settings.data_dir, worker_id) as slot:
        logs.identify(worker_id=slot.worker_id)
        card = None if gpu is None else only_card(gpu)
        attachment = describe_worker(labels, simulates, card)
        with tracing.exported("headroom-worker", slot.worker_id):
            asyncio.run(_work(settings, slot.worker_id, attachment, executor, parent_pid))


async def _work(
    settings: Settings,
    worker_id: str,
    attachment: Attachment,
    executor: ExecutorLike | None,
    parent_pid: int | None,
) -> None:
    if executor is not None:
        await _WorkerProcess(settings, worker_id, attachment, executor, parent_pid).live()
        return
    attachment = await with_isolation(attachment, settings.isolation)
    own = Executor(isolation=settings.isolation)
    await own.start()
    try:
        if "uuid" in attachment.device:
            attachment = replace(
                attachment, device={**attachment.device, **await measured_context(own)}
            )
        await _WorkerProcess(settings, worker_id, attachment, own, parent_pid).live()
    finally:
        await own.stop()


class _WorkerProcess:
    """One life of a worker, from the first heartbeat to the last."""

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        attachment: Attachment,
        executor: ExecutorLike,
        parent_pid: int | None,
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._attachment = attachment
        self._parent_pid = parent_pid
        self._database = Database(settings.url)
        self._engine = EngineClient(settings.url)
        self._execution = JobExecution(self._database, self._engine, executor, settings, worker_id)
        self._told_to_stop = asyncio.Event()

    async def live(self) -> None:
        """Attach, work until told to stop or orphaned, detach."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        if not await self._database.is_migrated():
            raise NotMigrated("the worker cannot start")
        _Bridge.execution, _Bridge.loop = self._execution, loop
        await attachments.attach(self._database, self._worker_id, self._attachment)
        await asyncio.to_thread(self._launch)
        _log.info("worker %s takes %s", self._worker_id, ", ".join(self._attachment.queues))
        chores = [asyncio.create_task(self._heartbeats()), asyncio.create_task(self._reaping())]
        await self._until_stop_or_orphaned()
        await self._stop_taking_jobs()
        for chore in chores:
            chore.cancel()
        await self._leave()

    def _launch(self) -> None:
        settings = self._settings
        DBOS(
            config=DBOSConfig(
                name=APPLICATION_NAME,
                system_database_url=engine_client.engine_url(settings.url),
                application_version=APPLICATION_VERSION,
                executor_id=self._worker_id,
                serializer=DBOSPortableJSONSerializer(),
                run_migrations=False,
                sys_db_idle_transaction_timeout_sec=engine_client.IDLE_TRANSACTION_S,
                console_log_level="WARNING",
                log_level="WARNING",
            )
        )
        queues = self._attachment.queues
        DBOS.listen_queues(queues)
        DBOS.launch()
        for queue in queues:
            at_once = settings.simulations_at_once if queue == SIMULATIONS else 1
            DBOS.register_queue(
                queue, worker_concurrency=at_once, polling_interval_sec=settings.queue_poll_s
            )

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            with _logged("heartbeat"):
                known = await attachments.heartbeat(
                    self._database, self._worker_id, list(self._execution.active)
                )
                if not known:  # it was away for so long that its row was deleted
                    await attachments.attach(self._database, self._worker_id, self._attachment)

    async def _reaping(self) -> None:
        reaper = Reaper(
            self._database,
            self._engine,
            self._settings,
            worker_id=self._worker_id,
            active=self._execution.active,
        )
        while True:
            with _logged("sweep for dead workers"):
                await reaper.sweep()
            await asyncio.sleep(self._settings.worker_stale_s / 3)

    async def _until_stop_or_orphaned(self) -> None:
        while not self._told_to_stop.is_set():
            if self._parent_pid is not None and os.getppid() != self._parent_pid:
                _log.warning("the service is gone; finishing what is at hand, then ending")
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), 1.0)

    async def _stop_taking_jobs(self) -> None:
        """When told to stop, interrupt the jobs at hand; when orphaned, let them finish first."""
        with _logged("telling that the worker drains"):
            await attachments.drain(self._database, self._worker_id)
        longest = max(self._settings.run_timeout_s, self._settings.plan_timeout_s)
        patience = 0 if self._told_to_stop.is_set() else int(longest) + 60
        closing = asyncio.create_task(
            asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=patience)
        )
        told = asyncio.create_task(self._told_to_stop.wait())
        await asyncio.wait([closing, told], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        for task in list(self._execution.active.values()):
            task.cancel()
        await closing
        if tasks := list(self._execution.active.values()):
            await asyncio.wait(tasks)

    async def _leave(self) -> None:
        """Hand back what was interrupted, so that the next worker takes it at once."""
        async with self._database.write() as session:
            await lifecycle.requeue(session, self._worker_id, AttemptOutcome.INTERRUPTED)
        await self._engine.requeue_jobs_of(self._worker_id)
        await attachments.detach(self._database, self._worker_id)
        await self._engine.close()
        await self._database.close()


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """A chore that fails (the database is away) must not end the worker: it is tried again."""
    try:
        yield
    except Exception:
        _log.exception("%s failed", what)
