"""`headroom serve`: the HTTP server, and one local worker that it looks after."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from app.access.repository import all_keys
from app.database import Database, migrate
from app.kit.hosts import is_loopback
from app.main import create_app
from app.settings import Settings
from app.supervision import supervise
from app.telemetry import logs, tracing
from profiler.isolation import hide_memory

_log = logging.getLogger(__name__)
_GRACE_S = 5


@dataclass(frozen=True)
class Certificate:
    """PEM files: the certificate with those that lead to its root, and its key."""

    chain: Path
    key: Path


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    with_worker: bool = True,
    *,
    certificate: Certificate | None = None,
    worker_command: Sequence[str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, which also end the local worker. Blocking.

    Migrates an embedded (SQLite) database first; PostgreSQL is migrated by `headroom db upgrade`.
    The local worker is a child process, started again whenever it ends. Should this process be
    killed, the worker finishes what it has at hand and ends; whatever was accepted stays queued.

    Args:
        settings: which database, and all limits.
        host: address to bind; beyond loopback calls need a key, unless the settings say otherwise.
        port: 0 takes any free one; the log tells which.
        with_worker: whether to start the local worker.
        certificate: what to serve HTTPS with; default: HTTP.
        worker_command: what to start as one; default `python -m app.engine`.
    """
    logs.configure(settings, "api")
    if settings.is_embedded:
        migrate(settings)
    if settings.auth == "auto":
        settings = settings.model_copy(update={"auth": "off" if is_loopback(host) else "on"})
    if settings.isolation != "off":
        hide_memory()  # of the worker's jobs, which run as the same user
    config = server_config(settings, host, port, certificate)
    default = (sys.executable, "-m", "app.engine", "--parent-pid", str(os.getpid()))
    command = (worker_command or default) if with_worker else None
    # uvloop where it is installed; a server that is not started by uvicorn's own `run` has to ask.
    with (
        tracing.exported("headroom-api", f"{socket.gethostname()}-{os.getpid()}"),
        asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
    ):
        runner.run(_serve(settings, config, command))


def server_config(
    settings: Settings, host: str, port: int, certificate: Certificate | None = None
) -> uvicorn.Config:
    """How the application of the settings is served."""
    return uvicorn.Config(
        create_app(settings),
        host=host,
        port=port,
        forwarded_allow_ips=settings.trusted_proxies,
        ssl_certfile=None if certificate is None else certificate.chain,
        ssl_keyfile=None if certificate is None else certificate.key,
        timeout_graceful_shutdown=_GRACE_S,
        log_config=None,
        access_log=False,
    )


async def _serve(
    settings: Settings, config: uvicorn.Config, worker_command: Sequence[str] | None
) -> None:
    if settings.auth == "on":
        await _warn_without_keys(settings)
    server = _Server(config)
    supervising = (
        None if worker_command is None else asyncio.create_task(supervise(worker_command, settings))
    )
    try:
        await server.serve()
    finally:
        if supervising is not None:
            supervising.cancel()
            with suppress(asyncio.CancelledError):
                await supervising


async def _warn_without_keys(settings: Settings) -> None:
    """A service that asks for keys and has made none can be asked nothing."""
    database = Database(settings.url)
    try:
        async with database.read() as session:
            if not await all_keys(session):
                _log.warning("no API key exists: `headroom keys create NAME` makes one")
    except SQLAlchemyError:
        pass  # /readyz says what is wrong with the database
    finally:
        await database.close()


class _Server(uvicorn.Server):
    """Ends streams and waiting POSTs when told to end, and returns so that the worker ends too."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike the original, does not raise the signal again, which would kill this process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        yield

    def _end(self, number: int) -> None:
        if context := getattr(self.config.app.state, "context", None):  # type: ignore[union-attr]
            context.stopping.set()
        self.handle_exit(number, None)
