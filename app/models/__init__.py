"""The tables. Importing this package fills `Base.metadata`."""

from app.models.api_key import ApiKey
from app.models.artifact import Artifact
from app.models.attempt import JobAttempt
from app.models.audit import AuditEntry
from app.models.base import Base, JobStatus
from app.models.context import DeviceContext
from app.models.design_search import DesignSearch
from app.models.device import Device
from app.models.event import Event
from app.models.idempotency import IdempotencyKey
from app.models.plan import Plan
from app.models.run import Run
from app.models.schema_compatibility import SchemaCompatibility
from app.models.simulation import Simulation
from app.models.sweep import Sweep, SweepPoint
from app.models.tally import Tally
from app.models.worker import Worker, WorkerState

__all__ = [
    "ApiKey",
    "Artifact",
    "AuditEntry",
    "Base",
    "DesignSearch",
    "Device",
    "DeviceContext",
    "Event",
    "IdempotencyKey",
    "JobAttempt",
    "JobStatus",
    "Plan",
    "Run",
    "SchemaCompatibility",
    "Simulation",
    "Sweep",
    "SweepPoint",
    "Tally",
    "Worker",
    "WorkerState",
]
