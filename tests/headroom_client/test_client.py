"""Both clients against canned answers; against a real service: tests/e2e/test_client.py."""

from __future__ import annotations

import asyncio
import inspect
import json

import httpx2
import pytest

from headroom_client import (
    AsyncClient,
    Client,
    ClientError,
    JobFailed,
    NotReached,
    ServiceError,
    Simulation,
)
from planner.request import SimulationRequest

JOB = {"id": "sim_1", "request": {}, "versions": {}, "created_at": "2026-11-24T12:00:00Z"}
QUEUED, DONE = JOB | {"status": "queued"}, JOB | {"status": "succeeded"}
PROBLEM = {"type": "step-failed", "title": "The step fails", "detail": "as told"}


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """How long the clients paused; without really pausing."""
    paused = []

    async def sleep(seconds):
        paused.append(seconds)

    monkeypatch.setattr("headroom_client.synchronous.time.sleep", paused.append)
    monkeypatch.setattr("headroom_client.asynchronous.asyncio.sleep", sleep)
    return paused


class Both:
    """Calls a method of the synchronous client, then of the other, on the same handler."""

    def __init__(self, handler):
        self.requests = []

        def record(request):
            self.requests.append(request)
            return handler(request)

        self.transport = httpx2.MockTransport(record)

    def call(self, name, *arguments, retries=5, **named):
        options = {"base_url": "http://test", "transport": self.transport}
        clients = (
            Client(http=httpx2.Client(**options), retries=retries),
            AsyncClient(http=httpx2.AsyncClient(**options), retries=retries),
        )
        first, second = (outcome(getattr(each, name), arguments, named) for each in clients)
        assert type(first) is type(second)
        if isinstance(first, ClientError):
            assert str(first) == str(second)
            raise first
        assert first == second
        return first


def outcome(method, arguments, named):
    """What a method returns or raises, collected where it is many things."""
    try:
        result = method(*arguments, **named)
        if inspect.isasyncgen(result):
            return asyncio.run(_collected(result))
        if inspect.isawaitable(result):
            return asyncio.run(_awaited(result))
        return list(result) if inspect.isgenerator(result) else result
    except ClientError as error:
        return error


async def _awaited(awaitable):
    return await awaitable


async def _collected(iterator):
    return [item async for item in iterator]


def answers(*contents):
    """A handler that answers so, one after the other, and then again from the start."""
    count = iter(range(10**6))

    def handler(request):
        status, content, *headers = contents[next(count) % len(contents)]
        return httpx2.Response(status, json=content, headers=headers[0] if headers else {})

    return handler


class TestWaiting:
    def test_a_job_is_followed_to_its_end(self):
        both = Both(answers((202, QUEUED), (200, QUEUED), (200, DONE)))
        seen = []
        found = both.call("simulate", {"model": {}}, on_progress=seen.append)
        assert isinstance(found, Simulation)
        assert found.ended
        assert [resource["status"] for resource in seen] == ["queued"] * 4
        first, second, *_ = both.requests
        assert json.loads(first.content) == {"model": {}}
        assert first.headers["Prefer"] == "wait=20"
        assert second.url.path == "/v1/simulations/sim_1"

    def test_a_wait_that_is_over_returns_what_there_is(self):
        both = Both(answers((202, QUEUED)))
        assert both.call("simulate", {}, wait=0).status == "queued"
        assert both.requests[0].headers["Prefer"] == "wait=0"

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_a_job_without_result_is_an_error(self, status):
        both = Both(answers((201, JOB | {"status": status, "problem": PROBLEM})))
        with pytest.raises(JobFailed, match="as told") as error:
            both.call("simulate", {})
        assert error.value.resource["problem"] == PROBLEM

    def test_a_run_without_memory_is_an_answer(self):
        run = JOB | {"id": "run_1", "status": "out_of_memory", "labels": {}, "predicted": {}}
        assert Both(answers((201, run))).call("run", "sim_1").status == "out_of_memory"

    def test_a_run_is_of_a_simulation_or_a_plan(self):
        run = JOB | {"id": "run_1", "status": "succeeded", "labels": {}, "predicted": {}}
        both = Both(answers((201, run)))
        both.call("run", Simulation.model_validate(DONE), {"device": "cpu"})
        both.call("run", "plan_1")
        bodies = [json.loads(request.content) for request in both.requests]
        assert bodies[0] == {"simulation_id": "sim_1", "labels": {"device": "cpu"}}
        assert bodies[2] == {"plan_id": "plan_1"}

    def test_a_request_may_be_an_object(self):
        model = {"source": "preset", "name": "memoryformer"}
        both = Both(answers((200, DONE)))
        both.call("simulate", SimulationRequest.model_validate({"model": model}))
        assert json.loads(both.requests[0].content)["workload"]["batch_size"] == 1


class TestRepeating:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_what_passes_is_repeated_with_the_same_key(self, status, pauses):
        both = Both(answers((status, {}), (status, {}), (201, DONE)))
        both.call("simulate", {})
        keys = [request.headers["Idempotency-Key"] for request in both.requests]
        assert len(set(keys[:3])) == len(set(keys[3:])) == 1
        assert keys[0] != keys[3], "another call has another key"
        assert len(pauses) == 4
        assert all(0 < seconds <= 1 for seconds in pauses)

    def test_the_service_says_when_to_come_again(self, pauses):
        Both(answers((429, {}, {"Retry-After": "7"}), (200, DONE))).call("get_simulation", "sim_1")
        assert pauses == [7, 7]

    def test_that_it_is_away_for_good_is_an_error(self):
        def refuse(request):
            raise httpx2.ConnectError("refused")

        both = Both(refuse)
        with pytest.raises(NotReached, match="http://test"):
            both.call("workers", retries=2)
        assert len(both.requests) == 2 * 3

    def test_what_is_wrong_is_not_repeated(self):
        problem = {"type": "invalid-request", "title": "No", "errors": [{"pointer": "/model"}]}
        both = Both(answers((422, problem)))
        with pytest.raises(ServiceError) as error:
            both.call("simulate", {})
        assert error.value.status == 422
        assert error.value.problem == problem
        assert len(both.requests) == 2


class TestReading:
    def test_lists_go_on_over_pages(self):
        pages = (
            (200, {"items": [DONE, DONE], "next_cursor": "more"}),
            (200, {"items": [DONE], "next_cursor": None}),
        )
        both = Both(answers(*pages))
        assert len(both.call("list_simulations", model_type="gpt2")) == 3
        assert dict(both.requests[1].url.params) == {"model_type": "gpt2", "cursor": "more"}

    def test_files_are_bytes(self):
        both = Both(lambda request: httpx2.Response(200, content=b"<graphml/>"))
        assert both.call("export", "sim_1", "graphml", depth=2) == b"<graphml/>"
        assert dict(both.requests[0].url.params) == {"format": "graphml", "depth": "2"}

    def test_deleting_what_has_ended_answers_nothing(self):
        both = Both(lambda request: httpx2.Response(204))
        assert both.call("delete", "run_1") is None
        assert both.requests[0].url.path == "/v1/runs/run_1"

    @pytest.mark.parametrize("resource_id", ["", "abc", "worker_1", "sim_../../devices"])
    def test_what_is_no_id_leads_nowhere(self, resource_id):
        both = Both(answers((200, {})))
        with pytest.raises(ClientError):
            both.call("timeline", resource_id)
        assert not both.requests

    def test_fields_of_a_newer_service_are_kept(self):
        found = Both(answers((200, DONE | {"novelty": 1}))).call("get_simulation", "sim_1")
        assert found.model_dump()["novelty"] == 1

    def test_a_page_of_something_else_is_said_so(self):
        both = Both(lambda request: httpx2.Response(200, text="<html>"))
        with pytest.raises(ServiceError, match="is it a Headroom service"):
            both.call("devices", retries=0)


class TestEvents:
    def test_a_broken_stream_is_continued(self):
        def handler(request):
            if "Last-Event-ID" not in request.headers:
                text = ': connected\n\nevent: run\ndata: {"id": "run_1"}\nid: 7\n\nevent: ru'
                return httpx2.Response(200, text=text)
            assert request.headers["Last-Event-ID"] == "7"
            return httpx2.Response(403, json=PROBLEM)

        http = httpx2.Client(base_url="http://test", transport=httpx2.MockTransport(handler))
        stream = Client(http=http).events(kind="run")
        event = next(stream)
        assert (event.id, event.kind, event.data) == ("7", "run", {"id": "run_1"})
        with pytest.raises(ServiceError) as error:
            next(stream)
        assert error.value.status == 403


class TestConnection:
    def test_the_key_is_sent_and_not_shown(self, monkeypatch):
        monkeypatch.setenv("HEADROOM_API_KEY", "hr_secret")
        monkeypatch.setenv("HEADROOM_SERVER", "http://elsewhere:1/")
        client = Client()
        assert client._http.headers["Authorization"] == "Bearer hr_secret"
        assert str(client._http.base_url) == "http://elsewhere:1"
        assert "secret" not in repr(client)
