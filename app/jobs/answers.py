"""How jobs are answered over HTTP: what the endpoints of all kinds of jobs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Response
from pydantic_core import to_json
from structlog.contextvars import bind_contextvars

from app.context import Context
from app.jobs import repository
from app.jobs import service as jobs
from app.jobs.attempts import attempts_of
from app.jobs.rendered import Versioned
from app.jobs.repository import Listed
from app.jobs.schemas import (
    RETRY_AFTER_S,
    JobQuery,
    JobResource,
    Sharing,
    entity_tag,
    is_unchanged,
    problems,
)
from app.jobs.service import Table
from app.jobs.waiting import wait_as_preferred
from app.models import JobStatus
from app.workers.service import waiting_warnings

Resource = TypeVar("Resource", bound=JobResource)
_LOADED_AT_ONCE = 20
_LISTED = "listed"
_WHOLE = "whole"
"""Forms in which a job's JSON is kept: as lists have it, and with its attempts."""


@dataclass(frozen=True)
class Answers(Generic[Table, Resource]):
    """Answers with rows of a table as resources of a kind, which live under a path."""

    table: type[Table]
    resource: type[Resource]
    path: str

    async def submitted(
        self, context: Context, row: Table, created: bool, prefer: str | None
    ) -> Response:
        """To a POST: the job as it is when it has ended, or the client's wait is over."""
        bind_contextvars(job_id=row.id, created=created)
        row = await wait_as_preferred(context, row, prefer)
        headers = {"Location": f"{self.path}/{row.id}"}
        status = 201 if created else 200
        if not JobStatus(row.status).is_final:
            status = 202
            headers["Retry-After"] = str(RETRY_AFTER_S)
        return _json(await self._content(context, row), row, status, headers)

    async def page(self, context: Context, query: JobQuery) -> Response:
        """To a GET of the list: one page, and the cursor of the next."""
        async with context.database.read() as session:
            listed, cursor = await repository.find_page(session, self.table, query, context.caller)
        items = await self._items(context, listed)
        content = b'{"items":[%b],"next_cursor":%b}' % (b",".join(items), to_json(cursor))
        return Response(content, media_type="application/json")

    async def _items(self, context: Context, listed: list[Listed]) -> list[bytes]:
        """The jobs of these versions as JSON, those left out that are gone.

        A version never changes, so what was rendered of it before is taken again. The others are
        loaded few at a time, so that a large page keeps no other request waiting.
        """
        kept = {row.id: context.rendered.get(row, _LISTED) for row in listed}
        by_id = {job_id: content for job_id, content in kept.items() if content is not None}
        missing = [row.id for row in listed if row.id not in by_id]
        for start in range(0, len(missing), _LOADED_AT_ONCE):
            async with context.database.read() as session:
                chosen = missing[start : start + _LOADED_AT_ONCE]
                rows = await repository.find_all(session, self.table, chosen)
            for row in rows:
                content = self.resource.model_validate(row).model_dump_json().encode()
                by_id[row.id] = content
                context.rendered.keep(row, _LISTED, content)
        return [by_id[row.id] for row in listed if row.id in by_id]

    async def read(self, context: Context, job_id: str, if_none_match: str | None) -> Response:
        """To a GET of one."""
        state = await jobs.state(context, self.table, job_id)
        if is_unchanged(state, if_none_match):
            return Response(status_code=304)
        if (kept := context.rendered.get(state, _WHOLE)) is not None:
            return _json(kept, state)
        row = await jobs.read(context, self.table, job_id)
        return _json(await self._content(context, row), row)

    async def changed(self, context: Context, job_id: str, change: Sharing) -> Response:
        """To a PATCH: the job as it is now."""
        row = await jobs.share(context, self.table, job_id, change.shared)
        return _json(await self._content(context, row), row)

    async def deleted(self, context: Context, job_id: str) -> Response:
        """To a DELETE: the job where it was unfinished and is cancelled now."""
        cancelled = await jobs.cancel_or_delete(context, self.table, job_id)
        if cancelled is None:
            return Response(status_code=204)
        return _json(await self._content(context, cancelled), cancelled)

    async def _content(self, context: Context, row: Table) -> bytes:
        """The job with its attempts, as JSON."""
        if (kept := context.rendered.get(row, _WHOLE)) is not None:
            return kept
        resource = self.resource.model_validate(row)
        resource.warnings = await waiting_warnings(context, row)
        async with context.database.read() as session:
            resource.attempts = list(await attempts_of(session, row.id))
        content = resource.model_dump_json().encode()
        # An attempt may end after its job, which is cancelled; that is no new version of the job.
        if resource.status.is_final and all(attempt.outcome for attempt in resource.attempts):
            context.rendered.keep(row, _WHOLE, content)
        return content

    def create_responses(self, again: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
        """OpenAPI: what a POST can answer besides 201; `again` is what a 200 means."""
        return {
            200: {"model": self.resource, "description": again},
            202: {"model": self.resource, "description": "Not done yet; see Location"},
            **problems(*statuses),
        }

    def delete_responses(self, *statuses: int) -> dict[int | str, dict[str, Any]]:
        """OpenAPI: what a DELETE can answer."""
        return {
            200: {"model": self.resource, "description": "It was unfinished and is cancelled"},
            204: {"description": "It was finished and is deleted"},
            **problems(403, *statuses),
        }


def _json(
    content: bytes, job: Versioned, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A job's JSON under the tag of its version."""
    tagged = {"ETag": entity_tag(job), **(headers or {})}
    return Response(content, status, tagged, media_type="application/json")


READ_RESPONSES: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not changed since the ETag given"},
    **problems(404),
}
GRAPH_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}}},
    **problems(404, 409),
}
_FILES = (
    *("application/json", "application/graphml+xml", "text/csv"),
    *("application/vnd.apache.parquet", "application/octet-stream"),
)
EXPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {} for media_type in _FILES}},
    **problems(404, 409),
}
