"""The tables. Importing this package fills `Base.metadata`."""

from app.models.artifact import Artifact
from app.models.attempt import JobAttempt
from app.models.base import Base, JobStatus
from app.models.context import DeviceContext
from app.models.design_search import DesignSearch
from app.models.device import Device
from app.models.event import Event
from app.models.idempotency import IdempotencyKey
from app.models.plan import Plan
from app.models.run import Run
from app.models.simulation import Simulation
from app.models.worker import Worker

__all__ = [
    "Artifact",
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
    "Simulation",
    "Worker",
]
