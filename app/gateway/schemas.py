"""What the service and a worker over HTTP tell each other. Imported by both; knows no database."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.engine.assignment import Assignment, AssignmentKind
from app.engine.queues import run_queue
from app.kit.labels import Label, LabelName
from profiler.outcome import ChildExit, Status

Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
_MOST_LEASES = 100


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MachineDescription(_Body):
    """The device of a worker: the CPU of its machine, or one card."""

    kind: Line
    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
    memory_bytes: Count
    cores: Count | None = None
    architecture: Line | None = None
    driver: Line | None = None
    uuid: Line | None = None
    cuda: Line | None = None
    context_bytes: Count | None = Field(None, description="measured: what a CUDA context takes")
    context_notes: list[Line] = Field([], max_length=20)
    isolation: dict[Line, Line | None] | None = Field(
        None, max_length=20, description="what shuts its jobs in, by layer"
    )

    @model_validator(mode="after")
    def _of_a_card(self) -> MachineDescription:
        if self.context_bytes is not None and (self.driver is None or self.cuda is None):
            raise ValueError("context_bytes is measured of a card: give driver and cuda with it")
        return self


class WorkerAttach(_Body):
    """A worker process at its start."""

    worker_id: Line = Field(description="unique among workers, and the same after a restart")
    labels: dict[LabelName, Label] = Field(max_length=20)
    simulates: bool = Field(description="whether it takes simulations and plans besides runs")
    device: MachineDescription
    versions: dict[Line, Line] = Field(max_length=60)
    hostname: Line
    pid: Annotated[int, Field(ge=0, lt=2**31)]
    replaces: UUID | None = Field(
        None,
        description="the session of a process that had this id and is known to be dead: its jobs"
        " go on at once, instead of when it has been silent long enough",
    )

    @model_validator(mode="after")
    def _has_a_queue(self) -> WorkerAttach:
        if "device" not in self.labels:
            raise ValueError("labels must have device: cpu, or cuda")
        if len(run_queue(self.labels)) > 200:
            raise ValueError("labels are too long together; leave some out, or shorten them")
        return self


class Attached(BaseModel):
    """What a worker is told when it is attached."""

    heartbeat_s: float = Field(description="how often to send a heartbeat")
    wait_s: float = Field(description="longest wait of a call for a lease")
    simulations_at_once: int = Field(description="simulations that one worker is given")
    versions: dict[str, str] = Field(description="the service's")
    differs_in: list[str] = Field(description="packages of which the worker has another version")


class LeaseRequest(_Body):
    """What a worker has room for."""

    kind: AssignmentKind


class Lease(BaseModel):
    """A job that is the worker's as long as the lease is `held`."""

    id: UUID
    job_id: str
    attempt: int = Field(description="which attempt at the job it is, from 1")
    assignment: Assignment
    queued_at: datetime = Field(description="since when the job waited for this attempt")
    traceparent: str | None = Field(None, description="of the request that made the job (W3C)")


class LeaseState(StrEnum):
    """What became of a lease. In every state but the first the work on it is to be stopped."""

    HELD = "held"
    DELIVERED = "delivered"
    """Its result is stored."""
    CANCELLED = "cancelled"
    """Nobody wants the job any more."""
    LOST = "lost"
    """The worker was taken for dead, or handed the job back: it is another one's now."""
    UNKNOWN = "unknown"
    """This worker never had it, or the job was deleted since."""


class Heartbeat(_Body):
    """That a worker lives, and how far its jobs are."""

    leases: dict[UUID, dict[str, Any] | None] = Field(
        {}, max_length=_MOST_LEASES, description="leases at hand, with progress where there is new"
    )


class HeartbeatAnswer(BaseModel):
    """What is to become of the leases at hand."""

    leases: dict[UUID, LeaseState]


class OutcomeReport(_Body):
    """How an assignment ended: the part `outcome` of a result."""

    status: Status
    result: dict[str, Any] | None = Field(None, description="of a success")
    problem: dict[str, Any] | None = Field(None, description="of all else (RFC 9457)")
    exit: ChildExit = Field(default_factory=ChildExit, description="how the child process ended")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> OutcomeReport:
        if self.status == "succeeded" and (self.result is None or self.problem is not None):
            raise ValueError("a success has a result and no problem")
        if self.status != "succeeded" and (self.problem is None or self.result is not None):
            raise ValueError("what has not succeeded has a problem and no result")
        return self


class Delivered(BaseModel):
    """The result is stored. Delivering it again changes nothing and gives the same answer."""

    job_id: str
    attempt: int
