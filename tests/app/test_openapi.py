from __future__ import annotations

import asyncio
import os
import time

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from app.access.keys import Scope, make_key
from app.access.repository import add_key
from app.database import Database
from app.main import create_app
from app.settings import Settings
from planner.check import check
from tests.app.conftest import make_settings
from tests.app.fakes import accept


def document() -> dict:
    return create_app(Settings(database_url="sqlite:////nowhere/x.db"), check=accept).openapi()


OPERATIONS = [
    (method.upper(), path)
    for path, item in document()["paths"].items()
    for method in item
    if path != "/v1/events"  # has no end
]
#: What a schema allows may still be no model, so valid data may be refused; all else must hold.
EXCLUDED = [positive_data_acceptance]


@pytest.fixture(scope="module")
def schema(request, tmp_path_factory):
    settings = make_settings(request, tmp_path_factory.mktemp("fuzzed"), "sqlite")
    app = create_app(settings.model_copy(update={"auth": "on"}), check=check)
    with TestClient(app, raise_server_exceptions=False) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.1)
        yield (
            schemathesis.openapi.from_asgi("/openapi.json", app),
            asyncio.run(stored_key(settings)),
        )


async def stored_key(settings) -> str:
    key, database = make_key(), Database(settings.url)
    async with database.write() as session:
        await add_key(session, key, "fuzzing", frozenset({Scope.ADMIN}), None)
    await database.close()
    return key.text


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_documented_and_none_is_a_5xx(schema, method, path):
    document, key = schema

    @given(case=document[path][method].as_strategy())
    @hypothesis_settings(
        max_examples=int(os.environ.get("HEADROOM_FUZZ_EXAMPLES", "30")),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def fuzz(case):
        case.call_and_validate(
            headers={"Prefer": "respond-async", "Authorization": f"Bearer {key}"},
            excluded_checks=EXCLUDED,
            timeout=30,
        )

    fuzz()


def test_operations_have_stable_names_and_problems():
    operations = {
        (path, method): operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }
    names = [operation["operationId"] for operation in operations.values()]
    assert len(names) == len(set(names))
    assert {
        "createSimulation",
        "createPlan",
        "exportPlan",
        "createDesignSearch",
        "listRuns",
        "getRunTimeline",
        "createDevice",
    } <= set(names)
    for (path, _), operation in operations.items():
        if path.startswith("/v1/"):
            assert "application/problem+json" in operation["responses"]["4XX"]["content"], path
            assert operation.get("summary") or operation.get("description")


def test_request_bodies_have_examples_that_are_valid():
    schemas = document()["components"]["schemas"]
    for name in ("SimulationRequest", "PlanRequest", "RunCreate", "DesignSearchRequest"):
        assert schemas[name]["examples"]
    assert "Problem" in schemas
