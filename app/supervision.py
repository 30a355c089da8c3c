"""Processes that are started again whenever they end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from app.worker_settings import WorkerSettings

_log = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 30.0
_PATIENCE_S = 10.0


async def supervise(command: Sequence[str], settings: WorkerSettings) -> None:
    """Keep one process of the command running; when cancelled, end it."""
    environment = {**os.environ, **settings.as_environment()}
    pause = 0.5
    while True:
        started = asyncio.get_running_loop().time()
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, start_new_session=True
        )
        _log.info("a worker started", extra={"worker_pid": process.pid})
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await asyncio.shield(_end(process))
            raise
        lived = asyncio.get_running_loop().time() - started
        # One that keeps dying at its start is not started in a tight loop.
        pause = 0.5 if lived > _PATIENCE_S else min(pause * 2, _LONGEST_PAUSE_S)
        fields = {"worker_pid": process.pid, "exit_status": status}
        _log.warning("a worker ended (%s); starting another in %.1f s", status, pause, extra=fields)
        await asyncio.sleep(pause)


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL for one that does not heed it."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _PATIENCE_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
