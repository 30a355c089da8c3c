"""A real `serve` process with its real worker, and what tests need to see of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil

ROOT = Path(__file__).resolve().parents[2]
_START = """
import sys
from app.server import serve
from app.settings import Settings
serve(Settings(), port=int(sys.argv[1]), with_worker=sys.argv[2] == "yes")
"""


class Server:
    """One life of the service on a data folder."""

    def __init__(self, data_dir: Path, *, with_worker: bool = True, **variables: str) -> None:
        self.log = data_dir / f"server-{time.monotonic_ns()}.log"
        environment = {**os.environ, "HEADROOM_DATA_DIR": str(data_dir), **variables}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, "0", "yes" if with_worker else "no"],
                cwd=data_dir,  # it must run from any folder
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )
        self.client = httpx2.Client(base_url=self._url(), timeout=150)
        self.wait_until(lambda: self.client.get("/readyz").status_code == 200)

    def _url(self) -> str:
        def find() -> re.Match[str] | None:
            return re.search(r"running on (http://\S+)", self.log.read_text())

        self.wait_until(find)
        found = find()
        assert found is not None
        return found[1]

    def wait_until(self, condition, seconds: float = 60):
        """The condition's value once it is true."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, self.story()
            assert self.process.poll() is None, self.story()
            time.sleep(0.05)
        return value

    def story(self) -> str:
        """The log's end, without the requests that only looked."""
        lines = self.log.read_text().splitlines()
        return "\n".join(line for line in lines if '"GET' not in line)[-4000:]

    def worker(self) -> psutil.Process:
        """The local worker's process."""

        def find():
            children = psutil.Process(self.process.pid).children()
            return next((c for c in children if "app.engine" in c.cmdline()), None)

        return self.wait_until(find)

    def descendants(self) -> list[psutil.Process]:
        """Every process that belongs to the service."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> None:
        """SIGTERM, as a service manager does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.client.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self) -> None:
        """SIGKILL: nothing can be put in order."""
        self.process.kill()
        self.process.wait(10)
        self.client.close()


def end_all(processes: list[psutil.Process]) -> None:
    """Make sure that nothing outlives a test."""
    for process in processes:
        if process.is_running():
            process.kill()
    psutil.wait_procs(processes, 10)
