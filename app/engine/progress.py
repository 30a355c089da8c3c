"""Writing a job's progress to its row, at most a few times a second."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.jobs import lifecycle

_log = logging.getLogger(__name__)
_INTERVAL_S = 0.5


class ProgressWriter:
    """Takes reports at any rate and writes the newest of them; lost ones do not matter."""

    def __init__(self, database: Database, job_id: str, attempt: int) -> None:
        self._database = database
        self._job_id = job_id
        self._attempt = attempt
        self._newest: dict[str, Any] | None = None
        self._reported = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def report(self, progress: dict[str, Any]) -> None:
        """Tell how far the job is; may be called from any thread."""
        self._newest = progress
        self._loop.call_soon_threadsafe(self._reported.set)

    async def __aenter__(self) -> ProgressWriter:
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _write(self) -> None:
        while True:
            await self._reported.wait()
            self._reported.clear()
            if self._newest is not None:
                try:
                    async with self._database.write() as session:
                        await lifecycle.set_progress(
                            session, self._job_id, self._attempt, self._newest
                        )
                except SQLAlchemyError:
                    _log.warning("progress was not written", exc_info=True)
            await asyncio.sleep(_INTERVAL_S)
