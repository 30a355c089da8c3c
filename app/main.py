"""The HTTP application."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig
from limits import parse as parse_rate

from app.access.guard import OPEN, Guard
from app.access.headers import SecurityHeaders
from app.catalogue import endpoints as catalogue
from app.context import Context
from app.dashboard.site import Dashboard
from app.database import Database
from app.design_searches import endpoints as design_searches
from app.devices import endpoints as devices
from app.engine.client import EngineClient
from app.events import endpoints as events
from app.gateway import endpoints as gateway
from app.health import endpoints as health
from app.health import metrics
from app.kit import problems
from app.kit.body_limit import BodyLimit
from app.kit.gzip import CompressLong
from app.kit.schema import known_fields
from app.plans import endpoints as plans
from app.runs import endpoints as runs
from app.runs.schemas import RunCreate
from app.settings import Settings
from app.simulations import endpoints as simulations
from app.sweeps import endpoints as sweeps
from app.telemetry.requests import PROBES, RequestTelemetry
from app.workers import endpoints as workers
from planner.check import check as planner_check
from planner.check import check_plan as planner_check_plan
from planner.designs.check import check_design_search as planner_check_design_search
from planner.designs.request import DesignSearchRequest
from planner.devices import DeviceProfile
from planner.plans import PlanRequest
from planner.request import SimulationRequest
from planner.sweeps import SweepRequest

_log = logging.getLogger(__name__)
_DESCRIPTION = """\
How much memory a PyTorch workload takes, before anyone rents the machine: POST a model description
and a workload to `/v1/simulations`, find what makes it fit with `/v1/plans`, then run either for
real with `/v1/runs`. `/v1/design-searches` finds the best of many designs.

Bytes are integers in fields named `*_bytes`. Errors are RFC 9457 problems. Lists are pages, newest
first: pass `next_cursor` as `cursor` for the next one.
"""

_BODIES = (
    SimulationRequest,
    PlanRequest,
    RunCreate,
    SweepRequest,
    DesignSearchRequest,
    DeviceProfile,
)

# A span for each request, where `app.telemetry.tracing` has found somewhere to send it.
_TELEMETRY: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": lambda scope: scope["path"] in PROBES,
}

Check = Callable[[SimulationRequest], SimulationRequest]
CheckPlan = Callable[[PlanRequest], PlanRequest]
CheckDesignSearch = Callable[[DesignSearchRequest], DesignSearchRequest]


def create_app(
    settings: Settings | None = None,
    *,
    check: Check = planner_check,
    check_plan: CheckPlan = planner_check_plan,
    check_design_search: CheckDesignSearch = planner_check_design_search,
) -> FastAPI:
    """The application on the database of the settings, which must be migrated.

    The checks are what refuses a wrong request before anything is stored.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database, engine = Database(settings.url), EngineClient(settings.url)
        app.state.context = Context(
            settings, database, engine, check, check_plan, check_design_search
        )
        warming = asyncio.create_task(_warm_up(app.state.context))
        try:
            yield
        finally:
            app.state.context.stopping.set()
            warming.cancel()
            with suppress(asyncio.CancelledError):
                await warming
            await engine.close()
            await database.close()

    app = FastAPI(
        title="Headroom",
        version=_version(),
        description=_DESCRIPTION,
        lifespan=lifespan,
        separate_input_output_schemas=False,
        redirect_slashes=False,
        telemetry=_TELEMETRY,
    )
    for router in (
        simulations.router,
        plans.router,
        runs.router,
        sweeps.router,
        design_searches.router,
        devices.router,
        catalogue.router,
        workers.router,
        gateway.router,
        events.router,
        health.router,
        metrics.router,
    ):
        app.include_router(router)
    problems.install(app, known_fields(*_BODIES))
    metrics.install(app)
    app.add_middleware(
        BodyLimit,
        most_bytes=settings.max_body_bytes,
        others=[(gateway.RESULT_PATH, settings.max_result_bytes)],
    )
    # The last one added is the outermost.
    app.add_middleware(CompressLong)
    rate = None if settings.rate_limit is None else parse_rate(settings.rate_limit)
    app.add_middleware(Guard, required=settings.auth == "on", rate=rate)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[
                "ETag",
                "Location",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Request-ID",
            ],
        )
    app.add_middleware(Dashboard)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestTelemetry)
    app.add_middleware(CorrelationIdMiddleware)
    _complete_openapi(app, settings.auth == "on")
    return app


async def _warm_up(context: Context) -> None:
    """The first check imports the model library's configurations, which takes seconds."""
    example = {"model": {"source": "transformers", "config": {"model_type": "gpt2"}}}
    try:
        await asyncio.to_thread(context.check, SimulationRequest.model_validate(example))
    except Exception:
        _log.exception("the check of requests does not work")
    # What was imported stays for good: collections, the last one at exit too, need not look at it.
    gc.freeze()
    context.warm.set()


def _version() -> str:
    try:
        return version("headroom")
    except PackageNotFoundError:
        return "0+source"


def _complete_openapi(app: FastAPI, needs_key: bool) -> None:
    """Add the schema of problems, which the responses refer to, and how a key is sent."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document["components"]["schemas"]
        if "Problem" not in schemas:
            schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
            _describe_keys(document, needs_key)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_keys(document: dict[str, Any], needed: bool) -> None:
    """Where none is needed, one may be sent all the same."""
    document["components"]["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "made by `headroom keys`"}
    }
    for path, methods in document["paths"].items():
        if path not in OPEN:
            for operation in methods.values():
                operation["security"] = [{"apiKey": []}] if needed else [{"apiKey": []}, {}]
