"""Real processes of a service, to be killed: API replicas and workers on one database."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import httpx2
import psutil

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FAKE_WORKER = (sys.executable, "-m", "tests.app.fake_worker")
"""What it does is `tests.app.fakes.FakeExecutor`'s."""
SKEWED_WORKER = (sys.executable, "-m", "tests.faults.skewed_worker")
REAL_WORKER = (sys.executable, "-m", "app.engine")
REPLICA = (sys.executable, "-m", "tests.faults.replica")
FINAL = ("succeeded", "failed", "cancelled", "out_of_memory")

Value = TypeVar("Value")


def eventually(condition: Callable[[], Value], seconds: float = 120) -> Value:
    """The condition's value once it is true. What it raises for a service that is away counts as
    false until the time is up.
    """
    deadline = time.monotonic() + seconds
    while True:
        value, error = None, None
        try:
            value = condition()
        except (httpx2.TransportError, KeyError) as caught:
            error = caught
        if value:
            return value
        assert time.monotonic() < deadline, error or "it did not come true"
        time.sleep(0.05)


class Replica:
    """One API process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx2.Client(base_url=self.url, timeout=150)

    def wait_until_ready(self) -> None:
        """Block until it takes requests."""
        eventually(lambda: self.client.get("/readyz").status_code == 200)

    def job(self, location: str) -> dict:
        """The resource."""
        return self.client.get(location).json()

    def end_of(self, location: str, seconds: float = 120) -> dict:
        """The resource once it is in a final state."""
        return eventually(
            lambda: job if (job := self.job(location))["status"] in FINAL else None, seconds
        )


class Fleet:
    """Starts processes of a service with given settings; all of them end with the block."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Prepare; nothing starts yet.

        Args:
            folder: of the logs.
        """
        self._settings = settings
        self._folder = folder
        self._numbers = itertools.count()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                kill_tree(process)

    def worker(
        self, worker_id: str, command: Sequence[str] = FAKE_WORKER, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker.

        Args:
            command: which kind of worker; it takes `--id`.
            variables: of its environment, beside the settings.
        """
        return self._start([*command, "--id", worker_id], variables)

    def replicas(self, count: int) -> list[Replica]:
        """Start API processes and wait until they take requests."""
        processes = [self._start(REPLICA, {}, subprocess.PIPE) for _ in range(count)]
        found = []
        for process in processes:
            assert process.stdout is not None
            found.append(Replica(process, int(process.stdout.readline())))
        for replica in found:
            replica.wait_until_ready()
        return found

    def log(self) -> str:
        """What all processes have written so far."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("process-*.log")))

    def _start(
        self, command: Sequence[str], variables: dict[str, str], stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        path = self._folder / f"process-{next(self._numbers)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self._settings.as_environment(), **variables},
                stdout=log if stdout is None else stdout,
                stderr=log,
            )
        self._processes.append(process)
        return process


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a process and all that it started."""
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    for member in family:
        if member.is_running():
            member.kill()
    process.send_signal(signal.SIGCONT)
    process.wait(10)
