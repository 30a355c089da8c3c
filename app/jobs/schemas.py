"""Fields that the answers of all jobs share, and the answers' headers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.attempts import Attempt
from app.jobs.rendered import Versioned
from app.kit.pages import PageQuery, Text
from app.kit.problems import MEDIA_TYPE, Problem
from app.models import JobStatus

RETRY_AFTER_S = 1
#: Fields of a job's resource that are no columns of its row.
ADDED = frozenset({"warnings", "attempts"})


class JobResource(BaseModel):
    """State of a job."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    status: JobStatus
    progress: dict[str, Any] | None = Field(None, description="how far a running one is")
    problem: Problem | None = Field(None, description="why it failed (RFC 9457, without status)")
    warnings: list[str] = Field([], description="what a queued one waits for")
    attempts: list[Attempt] | None = Field(
        None, description="each time that a worker took it up; lists leave this out"
    )
    owner: str | None = Field(
        None, description="whose keys may cancel, delete and share it; null: none was given"
    )
    shared: bool = Field(False, description="whether everybody sees it; who owns it always does")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    trace_id: str | None = Field(None, description="of the request that made it (W3C)")


class JobQuery(PageQuery):
    """Filters of a list. Those that a kind of job adds are named as its columns."""

    status: list[JobStatus] = Field([], max_length=10, description="any of these")
    model_type: Text | None = None
    task: Text | None = None
    device: Text | None = None
    owner: Text | None = Field(None, description="only what this one owns, as far as you see it")
    mine: bool = Field(False, description="only what the owner of the key owns")
    shared: bool | None = None

    def filters(self) -> dict[str, Any]:
        """Columns and the values that they must have."""
        return self.model_dump(exclude={"limit", "cursor", "status", "mine"}, exclude_none=True)


class Sharing(BaseModel):
    """What can be changed of a job."""

    model_config = ConfigDict(extra="forbid")

    shared: bool = Field(description="whether everybody sees it")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for problems; 4XX and 5XX stand for those that any call can have."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described: dict[int | str, str] = {status: _WORDS[status] for status in statuses}
    described["4XX"] = "The request cannot be met as it is"
    described["5XX"] = "The service failed"
    return {
        status: {"description": description, "content": content}
        for status, description in described.items()
    }


_WORDS = {
    403: "It is another owner's",
    404: "There is no such resource",
    409: "The resource's state does not allow it",
    410: "It is over: attach the session again, or stop the lease's work",
    422: "The request is not valid; `errors` names each field",
}


def entity_tag(job: Versioned) -> str:
    """Strong tag: every change of the row counts its version up."""
    return f'"{job.version}"'


def is_unchanged(job: Versioned, if_none_match: str | None) -> bool:
    """Whether the client's copy is still right (RFC 9110, section 13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return entity_tag(job) in tags or "*" in tags
