"""`/metrics` for Prometheus: this process (HTTP, memory, CPU), and the state of the fleet."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator import metrics as http_metrics
from sqlalchemy.exc import SQLAlchemyError

from app.context import Context, ContextDep
from app.health.fleet import collect

router = APIRouter()
_log = logging.getLogger(__name__)
_FRESH_S = 5.0
_LATENCY_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
)
"""Seconds. A POST waits for its job by default, so many take as long as that."""


class Metrics:
    """What one application tells Prometheus."""

    def __init__(self, version: str) -> None:
        self.process = CollectorRegistry()
        ProcessCollector(registry=self.process)
        build = Gauge("headroom_build_info", "Version", ["version"], registry=self.process)
        build.labels(version).set(1)
        self._database_up = Gauge(
            "headroom_database_up",
            "1 if the database answered this replica's last question, else 0",
            registry=self.process,
        )
        self._fleet: list[Metric] = []
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def text(self, context: Context) -> bytes:
        """Everything in Prometheus' text format.

        Where the database is away, what this process knows is still told.
        """
        fleet = CollectorRegistry()
        fleet.register(_Collected(await self._ask(context)))
        return generate_latest(self.process) + generate_latest(fleet)

    async def _ask(self, context: Context) -> list[Metric]:
        """The fleet's state, not older than a few seconds, however many ask for it."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= _FRESH_S:
                self._fleet = await self._collect(context)
                self._asked_at = time.monotonic()
            return self._fleet

    async def _collect(self, context: Context) -> list[Metric]:
        try:
            async with context.database.read() as session:
                found = await collect(session, context.settings)
        except (SQLAlchemyError, OSError):
            _log.warning("the database does not answer: no metrics of the fleet", exc_info=True)
            self._database_up.set(0)
            return []
        self._database_up.set(1)
        return found


class _Collected(Collector):
    """Metric families as a registry wants them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._families


def install(app: FastAPI) -> None:
    """Count and time the requests of this application, by route."""
    app.state.metrics = found = Metrics(app.version)
    instrumentator = Instrumentator(
        registry=found.process, excluded_handlers=["/metrics", "/healthz", "/v1/events"]
    )
    instrumentator.add(
        http_metrics.default(latency_lowr_buckets=_LATENCY_BUCKETS, registry=found.process)
    )
    instrumentator.instrument(app)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, context: ContextDep) -> Response:
    """Everything in the text format of Prometheus."""
    found: Metrics = request.app.state.metrics
    return Response(await found.text(context), headers={"Content-Type": CONTENT_TYPE_LATEST})
