"""The soak's service, and everything that befalls it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from app.settings import Settings
from tests.app.engine.test_contract import freeze
from tests.app.postgres import Cluster
from tests.faults.fleet import Fleet, Replica

WORKER = (sys.executable, "-m", "benchmarks.faults_worker")
WORKERS = 4
REPLICAS = 2
WEIGHTS = {
    "SIGKILL of a worker": 30,
    "SIGKILL of a child": 25,
    "SIGSTOP of a worker, SIGCONT after it was taken for dead": 20,
    "SIGKILL of an API replica": 10,
    "SIGTERM of a worker (drain)": 10,
    "immediate stop of PostgreSQL, up to 3 s away": 5,
}


class Chaos:
    """A service whose processes are started again whenever they end, and what ends them.

    Attributes:
        done: faults so far, by kind.
    """

    def __init__(
        self, settings: Settings, folder: Path, seed: int, cluster: Cluster | None
    ) -> None:
        self.done: Counter[str] = Counter()
        self._settings = settings
        self._fleet = Fleet(settings, folder)
        self._random = random.Random(seed)
        self._cluster = cluster
        self._names = 0
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._frozen: list[threading.Thread] = []
        self._replicas: list[Replica] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Chaos:
        self._fleet.__enter__()
        self._replicas = self._fleet.replicas(REPLICAS)
        for _ in range(WORKERS):
            self._start_worker()
        return self

    def __exit__(self, *reason: object) -> None:
        for thread in self._frozen:
            thread.join()
        self._fleet.__exit__(None, None, None)

    def url(self) -> str:
        """Of any replica."""
        with self._lock:
            return random.choice(self._replicas).url

    def strike(self) -> None:
        """Have one thing go wrong, and start again what has ended."""
        weights = dict(WEIGHTS)
        if self._cluster is None:
            weights.pop("immediate stop of PostgreSQL, up to 3 s away")
        kind = self._random.choices([*weights], [*weights.values()])[0]
        time.sleep(self._random.uniform(0, 0.5))
        if self._kinds()[kind]():
            self.done[kind] += 1
        self.mend()

    def mend(self) -> None:
        """Start again what has ended, as a supervisor does: under its old name, or a new one."""
        for worker_id, process in list(self._workers.items()):
            if process.poll() is not None:
                del self._workers[worker_id]
                self._start_worker(worker_id if self._random.random() < 0.5 else None)
        for replica in [each for each in self._replicas if each.process.poll() is not None]:
            (new,) = self._fleet.replicas(1)
            with self._lock:
                self._replicas[self._replicas.index(replica)] = new

    def wake(self) -> None:
        """Wait until nobody is frozen any more."""
        for thread in self._frozen:
            thread.join()

    def _kinds(self) -> dict[str, Callable[[], bool]]:
        return dict(
            zip(
                WEIGHTS,
                (
                    self._kill_worker,
                    self._kill_child,
                    self._freeze_worker,
                    self._kill_replica,
                    self._drain_worker,
                    self._restart_postgres,
                ),
                strict=True,
            )
        )

    def _start_worker(self, worker_id: str | None = None) -> None:
        if worker_id is None:
            self._names += 1
            worker_id = f"worker-{self._names}"
        self._workers[worker_id] = self._fleet.worker(worker_id, WORKER)

    def _worker(self) -> subprocess.Popen[bytes]:
        """One that is doing something, if there is one within two seconds."""
        workers = [*self._workers.values()]
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if busy := [worker for worker in workers if _children(worker)]:
                return self._random.choice(busy)
            time.sleep(0.01)
        return self._random.choice(workers)

    def _kill_worker(self) -> bool:
        self._worker().kill()
        return True

    def _drain_worker(self) -> bool:
        self._worker().terminate()
        return True

    def _freeze_worker(self) -> bool:
        worker = self._worker()
        if worker.poll() is not None:
            return False
        if self._cluster is None:
            freeze(worker, self._settings.data_dir)
        else:
            worker.send_signal(signal.SIGSTOP)
        seconds = self._settings.worker_stale_s * self._random.uniform(1.2, 2)

        def wake() -> None:
            time.sleep(seconds)
            worker.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=wake)
        thread.start()
        self._frozen.append(thread)
        return True

    def _kill_child(self) -> bool:
        for child in _children(self._worker()):
            with suppress(psutil.NoSuchProcess):
                child.kill()
                return True
        return False

    def _kill_replica(self) -> bool:
        self._random.choice(self._replicas).process.kill()
        return True

    def _restart_postgres(self) -> bool:
        assert self._cluster is not None
        self._cluster.stop()
        time.sleep(self._random.uniform(0, 3))
        self._cluster.start()
        return True


def _children(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Those that do its jobs: children of its warm process."""
    with suppress(psutil.NoSuchProcess):
        warm = psutil.Process(worker.pid).children()
        return [child for each in warm for child in each.children()]
    return []
