"""The worker's side of the warm process: start it, ask it to fork and to kill, hear of ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import WorkerCrashed
from profiler.isolation import Mode

START_SECONDS = 180.0
"""Bound of the imports: 5 s on an idle machine, far more on a cold disk."""

_MAX_MESSAGE_BYTES = 65_536
_GONE = "the process that executes jobs ended"

# What of the environment reaches a process that builds strangers' models: what loads libraries,
# what moves memory or time (and is told of a run, `profiler.environment`), and what finds a card.
# All else, credentials of whatever service among it, stays behind.
_PASSED = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD", "USER"})
_PASSED_PREFIXES = (
    *("LC_", "MALLOC_", "GLIBC_", "OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_"),
    *("TORCH_", "PYTORCH_", "ATEN_", "CUDA_", "CUBLAS", "CUDNN_", "NVIDIA_", "NUMBA_"),
)


class WarmProcessGone(WorkerCrashed):
    """The warm process ended before it had forked the child: the job can be given to another."""


@dataclass(frozen=True)
class Exit:
    """What the kernel says of an ended child; `status` is negative for a signal."""

    status: int
    peak_rss_bytes: int
    cpu_seconds: float


class WarmClient:
    """One warm process. It is started once; when it has died, another client takes its place."""

    def __init__(
        self, jobs: Mapping[str, str], preload: Sequence[str], scratch: Path, mode: Mode
    ) -> None:
        self._jobs = dict(jobs)
        self._mode = mode
        self._preload = list(preload)
        self._scratch = scratch
        self._exits: dict[str, asyncio.Future[Exit | None]] = {}
        self._pids: dict[str, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        """False once the process has gone."""
        return self._control is not None

    async def start(self) -> None:
        """Start the process; its imports go on after this returns."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        specification = {
            "jobs": self._jobs,
            "preload": self._preload,
            "parent": os.getpid(),
            "scratch": str(self._scratch),
            "isolation": self._mode,
        }
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "profiler.warm", str(theirs.fileno()), json.dumps(specification)),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=_environment(self._scratch),
                start_new_session=True,  # a Ctrl-C in the terminal is the worker's to handle
            )
        self._control = mine
        asyncio.get_running_loop().add_reader(mine.fileno(), self._hear)

    async def ready(self) -> int:
        """Wait until it can fork; returns its process id.

        Raises:
            WorkerCrashed: it ended, or took too long.
        """
        try:
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes as it ends.
            async with asyncio.timeout(START_SECONDS):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            await self.stop()
            raise WorkerCrashed(
                f"the process that executes jobs was not ready in {START_SECONDS:.0f} s"
            ) from None

    async def fork(self, job: str, scratch: Path, connection: socket.socket, *, card: bool) -> int:
        """Fork a child that talks over `connection`; returns its process id.

        `card` is whether it may use the machine's accelerator.

        Raises:
            WorkerCrashed: the warm process could not start.
            WarmProcessGone: it has gone since; no child lives.
        """
        await self.ready()
        if self._control is None:
            raise WarmProcessGone(_GONE)
        loop = asyncio.get_running_loop()
        self._exits[job] = loop.create_future()
        self._pids[job] = loop.create_future()
        command = json.dumps({"fork": job, "scratch": str(scratch), "card": card}).encode()
        try:
            socket.send_fds(self._control, [command], [connection.fileno()])
        except OSError as error:
            self._end()
            raise WarmProcessGone(_GONE) from error
        return await self._pids[job]

    async def exited(self, job: str) -> Exit | None:
        """Wait for the child's end; None when the warm process died, and the child with it."""
        future = self._exits.get(job)
        return None if future is None else await asyncio.shield(future)

    def forget(self, job: str) -> None:
        """Drop what is kept of an ended job."""
        self._exits.pop(job, None)
        self._pids.pop(job, None)

    def kill(self, job: str) -> None:
        """Kill the job's process group, if it still runs."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps({"kill": job}).encode())

    async def stop(self) -> None:
        """Kill the process and with it every child."""
        self._end()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _hear(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(_MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._end()
            return
        self._take(json.loads(data))

    def _take(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            if not self._ready.done():
                self._ready.set_result(message["ready"])
        elif "forked" in message:
            _resolve(self._pids.get(message["forked"]), message["pid"])
        elif "exited" in message:
            ended = Exit(message["status"], message["peak_rss_bytes"], message["cpu_seconds"])
            _resolve(self._exits.get(message["exited"]), ended)

    def _end(self) -> None:
        """The process is gone: nobody waits for it any longer."""
        if self._control is None:
            return
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        self._control = None
        _refuse(self._ready, WorkerCrashed(_GONE))
        for waiting in self._pids.values():
            _refuse(waiting, WarmProcessGone(_GONE))
        for future in self._exits.values():
            _resolve(future, None)


def _resolve(future: asyncio.Future[Any] | None, value: Any) -> None:
    if future is not None and not future.done():
        future.set_result(value)


def _refuse(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # nobody need be waiting, and asyncio would complain


def _environment(scratch: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    return {
        **kept,
        "HOME": str(scratch),
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HOME": str(scratch / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Has `torch.cuda.is_available()` ask NVML, which leaves CUDA usable after a fork.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        # numpy's OpenBLAS starts its threads on import; the warm process must have one thread.
        "OPENBLAS_NUM_THREADS": "1",
    }
