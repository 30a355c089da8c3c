"""A real server with its real worker: one trace, lines that belong together, real Prometheus."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from app.access.keys import Scope, make_key
from app.access.repository import add_key
from app.database import Database
from app.settings import Settings
from tests.app.telemetry.dashboards import alerts, queries
from tests.e2e.otlp import collector
from tests.e2e.prometheus import prometheus, query, wait_for_scrapes
from tests.e2e.server import Server

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REQUEST = {
    "model": {
        "source": "transformers",
        "config": {"model_type": "gpt2", "n_layer": 1, "n_embd": 32, "n_head": 2},
    },
    "workload": {"batch_size": 1, "sequence_length": 8},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """A server that has predicted and run a small model for a caller with a trace of its own."""
    folder, key = tmp_path_factory.mktemp("observed"), make_key()
    with (
        collector() as spans,
        Server(
            folder,
            HEADROOM_AUTH="on",
            OTEL_EXPORTER_OTLP_ENDPOINT=spans.url,
            OTEL_BSP_SCHEDULE_DELAY="200",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
            HEADROOM_LOG_LEVEL="DEBUG",
        ) as server,
    ):
        asyncio.run(store(Settings(data_dir=folder), key))
        server.client.headers["Authorization"] = f"Bearer {key.text}"
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "Prefer": "wait=120"}
        simulation = server.client.post("/v1/simulations", json=REQUEST, headers=headers)
        assert simulation.status_code == 201, server.story()
        body = {"simulation_id": simulation.json()["id"]}
        run = server.client.post("/v1/runs", json=body, headers={"Prefer": "wait=120"})
        assert run.status_code == 201, server.story()
        yield server, spans, simulation, run


async def store(settings, key):
    database = Database(settings.url)
    async with database.write() as session:
        await add_key(session, key, "a test", frozenset({Scope.WRITE}), None)
    await database.close()


def test_a_trace_leads_from_the_caller_through_the_request_to_the_child(observed):
    server, collected, simulation, _ = observed
    assert simulation.json()["trace_id"] == TRACE
    wanted = {"simulation attempt", "POST /v1/simulations"}
    server.wait_until(lambda: wanted <= {*collected.of(TRACE)})
    spans = collected.of(TRACE)
    request, attempt = spans["POST /v1/simulations"], spans["simulation attempt"]
    assert (request.service, request.parent_id) == ("headroom-api", CALLER)
    assert request.attributes["http.response.status_code"] == 201
    assert (attempt.service, attempt.parent_id) == ("headroom-worker", request.span_id)
    assert attempt.attributes["headroom.job.id"] == simulation.json()["id"]
    assert attempt.attributes["headroom.job.status"] == "succeeded"
    queued = spans["simulation queued"]
    assert queued.parent_id == request.span_id
    assert request.start_ns <= queued.start_ns <= queued.end_ns <= attempt.start_ns
    phases = [span for span in spans.values() if span.parent_id == attempt.span_id]
    assert {"step0.forward", "step1.backward", "simulate"} <= {span.name for span in phases}
    for phase in phases:
        assert (
            attempt.start_ns <= phase.start_ns <= phase.end_ns <= attempt.end_ns <= request.end_ns
        )


def test_a_request_without_a_trace_begins_one(observed):
    server, collected, _, run = observed
    trace_id = run.json()["trace_id"]
    server.wait_until(lambda: {"run attempt", "POST /v1/runs"} <= {*collected.of(trace_id)})
    spans = collected.of(trace_id)
    assert spans["POST /v1/runs"].parent_id == ""
    assert spans["run attempt"].parent_id == spans["POST /v1/runs"].span_id
    assert spans["build"].parent_id == spans["run attempt"].span_id


def test_the_lines_of_request_and_job_belong_together_in_api_and_worker(observed):
    server, _, simulation, _ = observed
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    job_id = simulation.json()["id"]
    (request,) = (
        line
        for line in lines
        if line["event"] == "request" and line.get("job_id") == job_id and line["method"] == "POST"
    )
    assert request["request_id"] == simulation.headers["X-Request-ID"]
    assert (request["component"], request["status"]) == ("api", 201)
    assert request["trace_id"] == TRACE
    assert request["key_id"].startswith("key_")
    assert server.client.headers["Authorization"].partition(" ")[2] not in server.log.read_text()
    started, ended = (
        line for line in lines if line["event"].startswith("attempt") and line["job_id"] == job_id
    )
    assert ended["status"] == "succeeded"
    for line in (started, ended):
        assert (line["component"], line["job_id"]) == ("worker", job_id)
        assert (line["attempt"], line["trace_id"]) == (1, TRACE)
        assert line["worker_id"]
    (worker,) = (line for line in lines if line["event"] == "a worker started")
    assert worker["worker_pid"] == started["pid"]
    assert {"uvicorn.error", "app.engine.worker"} <= {line["logger"] for line in lines}


@pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="NO PROMETHEUS: install the package `prometheus` to run the dashboard's queries",
)
def test_a_real_prometheus_answers_every_query_of_dashboard_and_alerts(observed, tmp_path):
    server, *_ = observed
    target = server.client.base_url.netloc.decode()
    key = server.client.headers["Authorization"].removeprefix("Bearer ")
    with prometheus(tmp_path, target, key) as client:
        wait_for_scrapes(client, 3)
        rules = client.get("/rules").json()["data"]["groups"][0]["rules"]
        assert len(rules) == len(alerts())
        # Calls happen between two scrapes, or no rate of them is known.
        server.client.get("/v1/simulations")
        wait_for_scrapes(client, 7)
        empty = []
        for text in queries():
            expression = text.replace("$__rate_interval", "1m").replace("$job", "headroom")
            if not query(client, expression):
                empty.append(expression)
        assert all("problems" in text or '"4xx|5xx"' in text for text in empty), empty
        rules = client.get("/rules").json()["data"]["groups"][0]["rules"]
        assert {rule["health"] for rule in rules} == {"ok"}
        assert {rule["name"] for rule in rules if rule["state"] == "firing"} == set()
