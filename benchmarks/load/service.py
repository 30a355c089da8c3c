"""The service under test as it is deployed: a database, API processes and workers, each a process
of its own."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil

from app.access import repository
from app.access.keys import Scope, make_key
from app.database import Database, migrate
from app.settings import Settings
from tests.app import postgres

ROOT = Path(__file__).resolve().parents[2]
_START_S = 180.0
_STOP_S = 60.0
_DONE_S = 600.0
Value = TypeVar("Value")


@dataclass
class Api:
    """One API process."""

    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """What the process has used so far, in all its threads."""
        times = self.process.cpu_times()
        return times.user + times.system


@dataclass
class Service:
    """Starts processes on one migrated database; all of them end with `running`."""

    settings: Settings
    key: str | None
    folder: Path
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """What every call carries."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def client(self, api: Api) -> httpx2.Client:
        """An ordinary client of one API process."""
        return httpx2.Client(base_url=api.url, headers=self.headers, timeout=150)

    def start_api(self) -> Api:
        """`headroom serve --no-worker`, once it is ready."""
        command = ["-m", "app.cli", "serve", "--no-worker", "--port", "0"]
        log, child = self._start(*command)
        found = until(lambda: re.search(r"running on (http://\S+)", log.read_text()), child, log)
        api = Api(found[1], psutil.Process(child.pid))
        with self.client(api) as client:
            until(lambda: client.get("/readyz").status_code == 200, child, log)
        return api

    def start_worker(self, identifier: str) -> psutil.Process:
        """`headroom worker`, which traces for real."""
        _, child = self._start("-m", "app.cli", "worker", "--id", identifier)
        return psutil.Process(child.pid)

    def start_fake_worker(self, identifier: str) -> psutil.Process:
        """A real worker whose executor answers at once, as the tests have it."""
        _, child = self._start("-m", "tests.app.fake_worker", "--id", identifier)
        return psutil.Process(child.pid)

    def stop(self, *processes: psutil.Process) -> None:
        """End these now; default: all."""
        chosen = {process.pid for process in processes}
        ending = [child for child in self._children if not chosen or child.pid in chosen]
        for child in ending:
            child.send_signal(signal.SIGTERM)
        for child in ending:
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            self._children.remove(child)

    def _start(self, *arguments: str) -> tuple[Path, subprocess.Popen[bytes]]:
        log = self.folder / f"{arguments[1]}-{len(self._children)}-{time.monotonic_ns()}.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HEADROOM_")}
        path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        environment["HF_HUB_OFFLINE"] = "1"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env={**environment, **self.settings.as_environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._children.append(child)
        return log, child


def succeeded(client: httpx2.Client, path: str, body: dict[str, Any]) -> str:
    """The id of what a POST makes, once it has succeeded.

    Raises:
        SystemExit: it was refused, failed, or took more than ten minutes.
    """
    answer = client.post(path, json=body, headers={"Prefer": "wait=60"})
    deadline = time.monotonic() + _DONE_S
    while answer.is_success and answer.json()["status"] in ("queued", "running"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
        answer = client.get(f"{path}/{answer.json()['id']}")
    if not answer.is_success or answer.json()["status"] != "succeeded":
        raise SystemExit(f"POST {path} came to nothing: {answer.text[:500]}")
    found: str = answer.json()["id"]
    return found


@contextmanager
def running(kind: str, auth: bool, **settings: Any) -> Iterator[Service]:
    """A service without processes as yet, on an empty migrated database of that kind.

    PostgreSQL runs with the settings that `initdb` gives, so that every commit reaches the disk.

    Raises:
        SystemExit: there are no binaries of PostgreSQL.
    """
    folder = Path(tempfile.mkdtemp(prefix="headroom-load-"))
    try:
        with _database(kind, folder) as url:
            chosen = Settings(
                data_dir=folder, database_url=url, auth="on" if auth else "off", **settings
            )
            migrate(chosen)
            service = Service(chosen, asyncio.run(_new_key(chosen)) if auth else None, folder)
            try:
                yield service
            finally:
                service.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str | None]:
    if kind == "sqlite":
        yield None
        return
    binaries = postgres.binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL binaries here; install the package `postgresql`")
    with postgres.server(binaries, "-c max_connections=200") as url:
        yield url


async def _new_key(settings: Settings) -> str:
    key, database = make_key(), Database(settings.url)
    async with database.write() as session:
        await repository.add_key(session, key, "load", frozenset({Scope.WRITE}), None)
    await database.close()
    return key.text


def until(
    condition: Callable[[], Value | None], child: subprocess.Popen[bytes], log: Path
) -> Value:
    """The condition's value once it is true.

    Raises:
        SystemExit: the process ended before, or it took too long.
    """
    deadline = time.monotonic() + _START_S
    while not (value := condition()):
        if child.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"a process did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    return value
