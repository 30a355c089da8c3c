from __future__ import annotations

import logging

import pytest
import sqlalchemy
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.access.keys import Scope, make_key
from app.access.repository import add_key
from app.kit.ids import new_id
from app.main import create_app
from app.models import Simulation
from app.telemetry.requests import RequestTelemetry
from tests.app.fakes import accept, body

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def access_line(lines) -> dict:
    (line,) = lines.of("app.access")
    return line


def test_a_request_ends_with_one_line_that_says_which_route_and_how_long(client, logged):
    lines = logged()
    job_id = new_id("sim")
    response = client.get(f"/v1/simulations/{job_id}?x=1")
    line = access_line(lines)
    assert response.status_code == line["status"] == 404
    assert line["method"] == "GET"
    assert line["path"] == f"/v1/simulations/{job_id}"
    assert line["route"] == "/v1/simulations/{simulation_id}"
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert line["job_id"] == job_id
    assert 0 < line["duration_s"] < 60
    assert line["level"] == "info"


def test_what_a_stranger_sends_is_written_escaped_and_cut(client, logged):
    lines = logged(log_format="console")
    client.get("/%1b[31m%0Aforged" + "x" * 1000)
    (line,) = (line for line in lines.getvalue().splitlines() if "app.access" in line)
    assert "%1B%5B31m%0Aforged" in line
    assert len(line) < 1000


def test_the_line_of_a_post_names_the_job_and_the_trace_that_the_caller_is_in(
    client, logged, settings
):
    lines = logged()
    posted = client.post("/v1/simulations", json=body(), headers={"traceparent": TRACEPARENT})
    line = access_line(lines)
    assert (line["job_id"], line["created"]) == (posted.json()["id"], True)
    assert line["trace_id"] == posted.json()["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    with sqlalchemy.create_engine(settings.url).connect() as connection:
        stored = connection.execute(sqlalchemy.select(Simulation.traceparent)).scalar()
    assert stored == TRACEPARENT


@pytest.mark.parametrize(
    "header", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
def test_without_a_valid_trace_a_job_has_none(client, header):
    headers = {} if header is None else {"traceparent": header}
    assert client.post("/v1/simulations", json=body(), headers=headers).json()["trace_id"] is None


async def test_a_key_is_named_by_its_id_and_never_written(settings, database, logged):
    key = make_key()
    async with database.write() as session:
        key_id = (await add_key(session, key, "k", frozenset({Scope.READ}), None)).id
    text = key.text
    guarded = settings.model_copy(update={"auth": "on"})
    lines = logged(log_level="DEBUG")
    with TestClient(create_app(guarded, check=accept)) as client:
        assert client.get("/v1/plans", headers={"X-API-Key": text}).status_code == 200
        assert client.post("/v1/plans", headers={"X-API-Key": text}).status_code == 403
        assert client.get("/v1/plans").status_code == 401
    read, refused, stranger = lines.of("app.access")
    assert read["key_id"] == refused["key_id"] == key_id
    assert "key_id" not in stranger
    assert text not in lines.getvalue()


def test_probes_are_not_heard_of(client, logged):
    lines = logged()
    client.get("/healthz")
    client.get("/metrics")
    assert lines.of("app.access") == []


def test_a_request_that_fails_is_an_error_with_its_cause_under_the_same_id(logged, settings):
    app = FastAPI()

    @app.get("/breaks")
    def breaks():
        logging.getLogger("app.x").warning("about to break")
        raise RuntimeError("out of order")

    app.add_middleware(RequestTelemetry)
    lines = logged()
    TestClient(app, raise_server_exceptions=False).get("/breaks")
    (warned,) = lines.of("app.x")
    assert warned["path"] == "/breaks"
    line = access_line(lines)
    assert (line["status"], line["level"], line["route"]) == (500, "error", "/breaks")
