"""The life of a worker over HTTP: attach, take jobs, deliver results, leave.

It goes on with what it has at hand while the service cannot be reached, and delivers afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from app.engine.assignment import (
    Assignment,
    AssignmentKind,
    ExecutorLike,
    carry_out,
    limits_for,
    outcome_of_error,
)
from app.errors import LeaseOver, NotFound, SessionOver, WorkerIdTaken
from app.gateway.schemas import Attached, Lease, LeaseState, WorkerAttach
from app.remote.service import Refused, Service, Unreachable, persist
from app.telemetry import attempts
from app.telemetry.attempts import Attempt
from app.worker_settings import WorkerSettings
from planner.errors import HeadroomError
from profiler.limits import Limits
from profiler.outcome import Outcome

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 20.0
"""Of a call for a job: proxies cut what is silent for longer."""
_SHORTEST_ROUND_S = 0.5
"""Of asking in vain, where the service lets nobody wait, or is about to end."""
_PATIENCE_S = 5.0
"""How long leaving waits for a service that does not answer."""


@dataclass
class _AtHand:
    """A lease with the work on it."""

    work: asyncio.Task[Outcome]
    progress: dict[str, Any] | None = None


class RemoteWorker:
    """One life of a worker, in one event loop."""

    def __init__(
        self,
        service: Service,
        settings: WorkerSettings,
        body: WorkerAttach,
        executor: ExecutorLike,
        parent_pid: int | None,
    ) -> None:
        self._service = service
        self._settings = settings
        self._body = body
        self._executor = executor
        self._parent_pid = parent_pid
        self._at_hand: dict[UUID, _AtHand] = {}
        self._attaching = asyncio.Lock()
        self._told_to_stop = asyncio.Event()
        self._closing = asyncio.Event()

    async def live(self) -> None:
        """Attach, work until told to stop or orphaned, leave.

        Raises:
            Refused: the service does not want this worker.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        attaching = asyncio.create_task(self._attach())
        if not await self._unless_stopped(attaching):
            await self._leave()
            return
        attached = attaching.result()
        tasks = [
            asyncio.create_task(self._slot(kind, min(attached.wait_s, _LONGEST_WAIT_S)))
            for kind in self._slots(attached)
        ]
        tasks.append(asyncio.create_task(self._heartbeats(attached.heartbeat_s)))
        tasks.append(asyncio.create_task(self._until_stop_or_orphaned()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._finish_or_interrupt(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._leave()
        for task in tasks:
            if not task.cancelled():
                task.result()  # raises what ended it

    def _slots(self, attached: Attached) -> list[AssignmentKind]:
        """Each takes one job after the other."""
        if not self._body.simulates:
            return [AssignmentKind.RUN]
        at_once = min(attached.simulations_at_once, self._settings.simulations_at_once)
        simulations = [AssignmentKind.SIMULATION] * at_once
        return [AssignmentKind.RUN, AssignmentKind.PLAN, *simulations]

    async def _attach(self) -> Attached:
        async with self._attaching:
            attached = await self._attach_patiently()
        _log.info("worker %s is attached", self._body.worker_id)
        if attached.differs_in:
            theirs = attached.versions
            differences = ", ".join(
                f"{name} {self._body.versions.get(name, 'missing')} (service: {theirs.get(name)})"
                for name in attached.differs_in
            )
            _log.warning("other versions than the service's: %s", differences)
        return attached

    async def _attach_patiently(self) -> Attached:
        """A predecessor of which nothing is known is waited for, once, until it counts as dead."""
        try:
            return await persist("attaching", lambda: self._service.attach(self._body))
        except Refused as refused:
            if refused.kind != WorkerIdTaken.type or not isinstance(
                refused.retry_after_s, int | float
            ):
                raise
            _log.warning("%s", refused.detail)
            await asyncio.sleep(min(max(refused.retry_after_s, 0), 600) + 0.5)
            return await persist("attaching", lambda: self._service.attach(self._body))

    async def _slot(self, kind: AssignmentKind, wait_s: float) -> None:
        while not self._closing.is_set():
            pause = asyncio.create_task(asyncio.sleep(_SHORTEST_ROUND_S))
            asking = asyncio.create_task(self._ask(kind, wait_s))
            lease = await self._unless(self._closing, asking)
            if lease is not None:
                await self._work(lease)
            else:
                await self._unless(self._closing, pause)

    async def _ask(self, kind: AssignmentKind, wait_s: float) -> Lease | None:
        lease_id = uuid4()
        try:
            return await persist(
                f"asking for a {kind}", lambda: self._service.lease(lease_id, kind, wait_s)
            )
        except Refused as refused:
            if refused.kind == SessionOver.type:
                await self._attach()
            elif refused.kind != LeaseOver.type:
                raise
            return None

    async def _work(self, lease: Lease) -> None:
        with attempts.observed(
            lease.assignment.kind,
            lease.job_id,
            lease.attempt,
            worker_id=self._body.worker_id,
            traceparent=lease.traceparent,
            queued_at=lease.queued_at,
        ) as observed:
            await self._observed(lease, observed)

    async def _observed(self, lease: Lease, observed: Attempt) -> None:
        assignment = _bounded(lease.assignment, self._settings)
        report = observed.following(lambda said: self._report(lease.id, said))
        at_hand = _AtHand(asyncio.create_task(carry_out(assignment, self._executor, report)))
        self._at_hand[lease.id] = at_hand
        try:
            await asyncio.wait([at_hand.work])
            if not at_hand.work.cancelled():
                outcome = _outcome(lease.job_id, at_hand.work)
                observed.ended(outcome)
                await self._deliver(lease, outcome)
        finally:
            at_hand.work.cancel()
            await asyncio.wait([at_hand.work])  # its child is dead then
            del self._at_hand[lease.id]

    def _report(self, lease_id: UUID, progress: dict[str, Any]) -> None:
        if (at_hand := self._at_hand.get(lease_id)) is not None:
            at_hand.progress = progress

    async def _deliver(self, lease: Lease, outcome: Outcome) -> None:
        what = f"delivering {lease.job_id}"
        try:
            await persist(what, lambda: self._service.deliver(lease.id, outcome))
        except Refused as refused:
            if refused.kind in (LeaseOver.type, SessionOver.type, NotFound.type):
                _log.warning("%s: its result is dropped: %s", lease.job_id, refused.detail)
                return
            if refused.status not in (413, 422, 500):
                raise
            _log.error("%s: the service refuses its result: %s", lease.job_id, refused.detail)
            error = HeadroomError(f"the service refuses the worker's result: {refused.detail}")
            failed = Outcome("failed", problem=error.problem(), exit=outcome.exit)
            with suppress(Refused):
                await persist(what, lambda: self._service.deliver(lease.id, failed))

    async def _heartbeats(self, interval_s: float) -> None:
        is_away = False
        while True:
            await asyncio.sleep(interval_s)
            said = {lease: at_hand.progress for lease, at_hand in self._at_hand.items()}
            try:
                states = await self._service.heartbeat(said)
            except Unreachable as error:
                if not is_away:
                    _log.warning("the service is away (%s); going on meanwhile", error)
                is_away = True
            except Refused as refused:
                if refused.kind == SessionOver.type:
                    await self._attach()
                elif refused.status in (413, 422):
                    self._forget_progress(refused.detail)
                else:
                    raise
            except ValueError as error:  # NaN, which is no JSON
                self._forget_progress(str(error))
            else:
                is_away = False
                self._heed(said, states)

    def _forget_progress(self, reason: str) -> None:
        _log.warning("progress that cannot be told is left out: %s", reason)
        for at_hand in self._at_hand.values():
            at_hand.progress = None

    def _heed(
        self, said: dict[UUID, dict[str, Any] | None], states: dict[UUID, LeaseState]
    ) -> None:
        for lease_id, progress in said.items():
            at_hand = self._at_hand.get(lease_id)
            if at_hand is None:
                continue
            if at_hand.progress is progress:
                at_hand.progress = None  # it is known now
            state = states.get(lease_id, LeaseState.UNKNOWN)
            if state not in (LeaseState.HELD, LeaseState.DELIVERED) and not at_hand.work.done():
                _log.warning("the lease %s is %s; stopping its work", lease_id, state)
                at_hand.work.cancel()

    async def _until_stop_or_orphaned(self) -> None:
        while not self._told_to_stop.is_set():
            if self._parent_pid is not None and os.getppid() != self._parent_pid:
                _log.warning("the parent is gone; finishing what is at hand, then ending")
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), 1.0)

    async def _finish_or_interrupt(self, tasks: list[asyncio.Task[None]]) -> None:
        """When orphaned, let the jobs at hand finish; when told to stop, do not wait for them."""
        self._closing.set()
        *slots, heartbeats, _ = tasks
        if self._told_to_stop.is_set() or any(task.done() for task in (*slots, heartbeats)):
            return
        await self._calmly(self._service.drain)
        await self._unless_stopped(asyncio.gather(*slots))

    async def _leave(self) -> None:
        """What is not delivered goes back, so that the next worker takes it at once."""
        await self._calmly(self._service.detach)

    async def _calmly(self, call: Callable[[], Any]) -> None:
        """A call that matters little: a worker that is silent is given up all the same."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await persist("leaving", call)
        except (TimeoutError, Refused) as error:
            _log.warning("left without a word: %s", error or "the service does not answer")

    async def _unless_stopped(self, task: asyncio.Future[Any]) -> bool:
        """Wait for a task; False where it was cancelled because the worker was told to stop."""
        await self._unless(self._told_to_stop, task)
        return not task.cancelled()

    async def _unless(self, event: asyncio.Event, task: asyncio.Future[Any]) -> Any:
        """The task's result, or None once the event is set, which cancels the task."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        return None if task.cancelled() else task.result()


def _outcome(job_id: str, work: asyncio.Task[Outcome]) -> Outcome:
    try:
        return work.result()
    except Exception as error:
        return outcome_of_error(job_id, error)


def _bounded(assignment: Assignment, settings: WorkerSettings) -> Assignment:
    """The assignment within the worker's own limits."""
    asked, own = assignment.limits, limits_for(assignment.kind, settings)
    memory = [each.memory_bytes for each in (asked, own) if each.memory_bytes is not None]
    limits = Limits(
        min(asked.wall_seconds, own.wall_seconds),
        min(memory, default=None),
        min(asked.timing_budget_seconds, own.timing_budget_seconds),
    )
    return assignment.model_copy(update={"limits": limits})
