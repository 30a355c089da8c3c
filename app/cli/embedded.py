"""A service of one's own while a block lasts: `headroom serve` as a child, on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.cli.errors import CliError
from app.cli.server import Server

_START_S = 90.0  # the worker imports torch and transformers on a possibly cold disk
_STOP_S = 20.0
_LOG_LINES = 30


@contextmanager
def embedded_service(host: str = "127.0.0.1", port: int = 0) -> Iterator[Server]:
    """Start a service with one worker on a data folder that is gone afterwards.

    Raises:
        CliError: it ended or was not ready in time; carries the end of its log.
    """
    port = port or _free_port(host)
    with tempfile.TemporaryDirectory(prefix="headroom-") as folder:
        log = Path(folder) / "service.log"
        process = _start(host, port, Path(folder), log)
        try:
            with closing(Server(f"http://{host}:{port}")) as server:
                _wait_until_ready(server, process, log)
                yield server
        finally:
            _stop(process)


def _start(host: str, port: int, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    # Settings of the caller that name a real database or folder are not for a throw-away service.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEADROOM_")}
    environment["HEADROOM_DATA_DIR"] = str(folder / "data")
    environment["HEADROOM_LOG_FORMAT"] = "console"  # its end is shown where the start fails
    command = [sys.executable, "-m", "app.cli", "serve", "--host", host, "--port", str(port)]
    with log.open("wb") as output:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not (server.ready() and server.get("/v1/workers")["items"]):
        if process.poll() is not None:
            raise CliError(f"the service ended with {process.returncode}:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise CliError(f"the service was not ready after {_START_S:.0f} s:\n{_tail(log)}")
        time.sleep(0.2)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
