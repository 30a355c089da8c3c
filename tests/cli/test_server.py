"""The HTTP side of the commands, against canned answers; against a real service: tests/e2e."""

from __future__ import annotations

import json

import httpx2
import pytest

from app.cli.errors import CliError, ExitCode
from app.cli.server import Server


def server_answering(handler):
    transport = httpx2.MockTransport(handler)
    return Server("http://test", httpx2.Client(base_url="http://test", transport=transport))


def test_an_unfinished_resource_is_polled_until_it_has_ended(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers = iter(["running", "running", "succeeded"])
    seen = []

    def handler(request):
        if request.method == "POST":
            assert json.loads(request.content) == {"model": {}}
            return httpx2.Response(202, json={"id": "sim_1", "status": "queued"})
        assert request.url.path == "/v1/simulations/sim_1"
        return httpx2.Response(200, json={"id": "sim_1", "status": next(answers)})

    ended = server_answering(handler).simulate({"model": {}}, seen.append)
    assert ended == {"id": "sim_1", "status": "succeeded"}
    assert [resource["status"] for resource in seen] == ["queued", "running", "running"]


def test_a_simulation_that_failed_is_not_run():
    def handler(request):
        assert request.url.path == "/v1/simulations", "POST /v1/runs must not follow"
        return httpx2.Response(201, json={"id": "sim_1", "status": "failed"})

    assert server_answering(handler).run_request({}, {}, print)["status"] == "failed"


def test_a_plan_is_asked_for_early_so_that_its_progress_shows(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    progress = {"phase": "frontier", "frontier": []}
    seen = []

    def handler(request):
        if request.method == "POST":
            assert request.headers["Prefer"] == "wait=1"
            return httpx2.Response(
                202, json={"id": "plan_1", "status": "running", "progress": progress}
            )
        assert request.url.path == "/v1/plans/plan_1"
        return httpx2.Response(200, json={"id": "plan_1", "status": "succeeded"})

    assert server_answering(handler).plan({}, seen.append)["status"] == "succeeded"
    assert [resource["progress"] for resource in seen] == [progress]


def test_a_run_names_the_plan():
    def handler(request):
        assert json.loads(request.content) == {"plan_id": "plan_1", "labels": {"device": "cpu"}}
        return httpx2.Response(201, json={"id": "run_1", "status": "succeeded"})

    assert server_answering(handler).run_plan("plan_1", {"device": "cpu"}, print)["id"] == "run_1"


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(404, ExitCode.USAGE), (422, ExitCode.USAGE), (500, ExitCode.FAILURE), (503, 1)],
)
def test_a_problem_keeps_its_content_and_decides_the_exit_code(status, exit_code):
    problem = {"type": "t", "title": "No", "status": status, "detail": "because"}
    server = server_answering(lambda request: httpx2.Response(status, json=problem))
    with pytest.raises(CliError, match="because") as caught:
        server.get("/v1/runs/run_1")
    assert caught.value.exit_code == exit_code
    assert caught.value.problem == problem


def test_what_is_no_headroom_service_is_said_so():
    server = server_answering(lambda request: httpx2.Response(200, text="<html>"))
    with pytest.raises(CliError, match="is it a Headroom service"):
        server.get("/v1/devices")


def test_a_service_that_is_not_there_is_answered_with_what_to_do():
    with pytest.raises(CliError, match="headroom serve") as caught:
        Server("http://127.0.0.1:1").get("/v1/devices")
    assert caught.value.exit_code == ExitCode.FAILURE


def test_no_address_is_no_crash():
    with pytest.raises(CliError):
        Server("http://[").get("/v1/devices")
