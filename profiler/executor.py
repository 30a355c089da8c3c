"""Executes jobs in children forked from a warm process; what the engine's worker calls.

Importing this module does not import torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import shutil
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from planner.errors import HeadroomError, StorageFull, WorkerCrashed
from profiler.classify import FINAL_KINDS, Observed, classify, signal_name
from profiler.frames import Frame, MalformedFrame, read, write
from profiler.isolation import Mode
from profiler.limits import Limits
from profiler.memory_watch import Excess, kernel_oom_kills, watch
from profiler.outcome import ChildExit, Outcome
from profiler.warm_client import Exit, WarmClient, WarmProcessGone

OnProgress = Callable[[dict[str, Any]], Awaitable[None] | None]

JOBS = {
    "simulate": "profiler.jobs:simulate",
    "plan": "profiler.jobs:plan",
    "run": "profiler.jobs:run",
    "context": "profiler.jobs:context",
}
_WITHOUT_CARD = ("simulate", "plan")
PRELOAD = ("planner.preload",)

_END_SECONDS = 5.0
_BUFFER_BYTES = 4 * 2**20
_LOG_TAIL_BYTES = 4096


class Executor:
    """Runs jobs one child each; several at the same time if asked.

    A child dies with this process, is bounded by its `Limits`, and is killed when the task that
    awaits it is cancelled. When the warm process has died, the next job starts another.
    """

    def __init__(
        self,
        *,
        scratch: Path | None = None,
        jobs: Mapping[str, str] = JOBS,
        preload: Sequence[str] = PRELOAD,
        isolation: Mode = "auto",
    ) -> None:
        """Prepare; nothing starts yet.

        Args:
            scratch: folder for the children's working folders; a temporary one by default.
            jobs: kind of job -> `module:function`, imported by the warm process.
            preload: further modules that the warm process imports.
            isolation: `auto` shuts children in as far as the platform allows, `required` fails
                their jobs where a layer cannot be had, `off` leaves only the resource limits.
        """
        self._scratch_parent = scratch
        self._jobs = jobs
        self._preload = preload
        self._mode: Mode = isolation
        self._scratch: Path | None = None
        self._warm: WarmClient | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Executor:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the warm process and return; its imports go on while the event loop is free."""
        await self._living_warm()

    async def stop(self) -> None:
        """Kill whatever runs and remove the scratch folders."""
        if self._warm is not None:
            await self._warm.stop()
            self._warm = None
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            self._scratch = None

    async def ready(self) -> None:
        """Wait until the warm process can take a job.

        Raises:
            WorkerCrashed: it could not start.
        """
        await (await self._living_warm()).ready()

    async def simulate(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        limits: Limits | None = None,
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        """Trace and simulate; the result is `{"prediction", "versions"}`, the artifact `tape`."""
        payload = {"request": request, "device": device}
        return await self.execute("simulate", payload, limits=limits, on_progress=on_progress)

    async def plan(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        devices: Sequence[dict[str, Any]] = (),
        limits: Limits | None = None,
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        """Find a strategy; the result is `{"plan", "versions"}`, the artifact `tape`.

        Args:
            devices: profiles to choose among, where the request asks for the device.
        """
        payload = {"request": request, "device": device, "devices": list(devices)}
        return await self.execute("plan", payload, limits=limits, on_progress=on_progress)

    async def run(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        limits: Limits | None = None,
        on_progress: OnProgress | None = None,
        baseline: bool = False,
        baseline_bytes: int | None = None,
    ) -> Outcome:
        """Run for real; the result is `{"measured", "environment"}`, the artifact `timeline`.

        Args:
            baseline: also run the workload without its strategy and compare gradients; the result
                has `{"baseline", "slowdown", "gradients_match"}` too (`profiler.plan_run`).
            baseline_bytes: what the workload is expected to hold without its strategy; where that
                is more than there is, the baseline is left out.
        """
        payload: dict[str, Any] = {"request": request, "device": device}
        if baseline:
            payload |= {"baseline": True, "baseline_bytes": baseline_bytes}
        return await self.execute("run", payload, limits=limits, on_progress=on_progress)

    async def context(self, *, limits: Limits | None = None) -> Outcome:
        """Measure a CUDA context; the result is that of `profiler.context.measure_context`."""
        return await self.execute("context", {}, limits=limits)

    async def execute(
        self,
        kind: str,
        payload: dict[str, Any],
        *,
        limits: Limits | None = None,
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        """Do one job in a child of its own; an `Outcome` comes whatever happens to the child.

        Raises:
            KeyError: no such kind of job.
            asyncio.CancelledError: the awaiting task was cancelled; the child is dead by then.
        """
        if kind not in self._jobs:
            raise KeyError(kind)
        observed = Observed(kind, (limits or Limits()).resolved())
        try:
            try:
                await self._attend(payload, observed, on_progress)
            except WarmProcessGone:  # it died between two jobs, and nobody had noticed
                await self._attend(payload, observed, on_progress)
        except WorkerCrashed as error:
            return Outcome("failed", None, error.problem(), {}, observed.exit)
        except OSError as error:  # no scratch folder, no descriptors
            return Outcome("failed", None, _lacking(error).problem(), {}, observed.exit)
        return classify(observed)

    async def _living_warm(self) -> WarmClient:
        async with self._starting:
            if self._warm is not None and not self._warm.alive:
                await self._warm.stop()
                self._warm = None
            if self._warm is None:
                if self._scratch is None:
                    self._scratch = Path(
                        tempfile.mkdtemp(prefix="headroom-", dir=self._scratch_parent)
                    )
                warm = WarmClient(self._jobs, self._preload, self._scratch, self._mode)
                await warm.start()
                self._warm = warm
            return self._warm

    async def _attend(
        self, payload: dict[str, Any], observed: Observed, on_progress: OnProgress | None
    ) -> None:
        """Fork the child, follow it to its end, and clear away."""
        warm = await self._living_warm()
        job = f"{observed.kind}-{next(self._numbers)}"
        assert self._scratch is not None
        scratch = self._scratch / job
        scratch.mkdir()
        oom_kills = kernel_oom_kills()
        started = time.monotonic()
        ended: Exit | None = None
        try:
            try:
                await self._converse(warm, job, scratch, payload, observed, on_progress)
            finally:
                ended = await asyncio.shield(_end(warm, job, observed))
        finally:
            observed.exit = _describe(ended, observed, time.monotonic() - started, scratch)
            observed.kernel_killed = (
                observed.exit.signal == "SIGKILL" and kernel_oom_kills() > oom_kills
            )
            shutil.rmtree(scratch, ignore_errors=True)

    async def _converse(
        self,
        warm: WarmClient,
        job: str,
        scratch: Path,
        payload: dict[str, Any],
        observed: Observed,
        on_progress: OnProgress | None,
    ) -> None:
        await warm.ready()
        mine, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=mine, limit=_BUFFER_BYTES)
        watcher: asyncio.Task[Excess] | None = None
        try:
            async with asyncio.timeout(observed.limits.wall_seconds):
                with theirs:
                    card = _may_use_card(observed.kind, payload)
                    pid = await warm.fork(job, scratch, theirs, card=card)
                watcher = asyncio.create_task(watch(pid, observed.limits.process_bytes))
                watcher.add_done_callback(lambda task: _over_limit(task, observed, warm, job))
                body = {"payload": payload, "limits": observed.limits.to_json()}
                await write(writer, Frame(observed.kind, body))
                await _follow(reader, observed, on_progress)
        except TimeoutError:
            observed.timed_out = True
        except (EOFError, ConnectionError):
            observed.closed = True
        except MalformedFrame as error:
            observed.malformed = str(error)
        finally:
            if watcher is not None:
                watcher.cancel()
            writer.close()


def _may_use_card(kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether a job is for real on something other than the CPU."""
    return kind not in _WITHOUT_CARD and payload.get("device", {}).get("kind") != "cpu"


async def _follow(
    reader: asyncio.StreamReader, observed: Observed, on_progress: OnProgress | None
) -> None:
    """Read until the child's last word."""
    while True:
        frame = await read(reader)
        if frame.kind in FINAL_KINDS:
            observed.last = frame
            return
        if frame.kind != "progress":
            raise MalformedFrame(f"a message of the unknown kind {frame.kind[:40]!r}")
        if "phase" in frame.body:
            observed.phase = str(frame.body["phase"])
        if on_progress is not None:
            returned = on_progress(frame.body)
            if returned is not None:
                await returned


def _over_limit(task: asyncio.Task[Excess], observed: Observed, warm: WarmClient, job: str) -> None:
    if not task.cancelled() and task.exception() is None and observed.last is None:
        observed.excess = task.result()
        warm.kill(job)


async def _end(warm: WarmClient, job: str, observed: Observed) -> Exit | None:
    """Make sure that the child is gone; one that ended the conversation gets a moment for it."""
    try:
        if observed.last is not None or observed.closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    return await warm.exited(job)
        warm.kill(job)
        async with asyncio.timeout(_END_SECONDS):
            return await warm.exited(job)
    except TimeoutError:
        # The warm process does not answer: its own death takes the child along.
        await warm.stop()
        return None
    finally:
        warm.forget(job)


def _lacking(error: OSError) -> HeadroomError:
    """What the machine did not have for a child."""
    if error.errno == errno.ENOSPC:
        return StorageFull(
            "the worker's scratch disk is full; make room on it, or set TMPDIR to another"
        )
    return WorkerCrashed(f"no child could be started: {error.strerror or error}")


def _describe(ended: Exit | None, observed: Observed, seconds: float, scratch: Path) -> ChildExit:
    status = None if ended is None else ended.status
    return ChildExit(
        code=status if status is not None and status >= 0 else None,
        signal=signal_name(status) if status is not None else None,
        phase=observed.phase,
        peak_rss_bytes=ended.peak_rss_bytes if ended is not None else None,
        cpu_seconds=ended.cpu_seconds if ended is not None else None,
        wall_seconds=seconds,
        log=_tail(scratch / "log"),
    )


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
