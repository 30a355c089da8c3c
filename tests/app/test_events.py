from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import httpx2
import pytest
import uvicorn

from app.access.repository import all_keys, revoke
from app.events import endpoints
from app.main import create_app
from tests.app.fakes import accept, body, plan_body
from tests.app.keys import guarded_app, headers_of


@pytest.fixture
def url(settings):
    app = create_app(settings, check=accept, check_plan=accept, check_design_search=accept)
    with serving(app) as url:
        yield url


@contextmanager
def serving(app):
    """A real server: streams end only when one side closes."""
    config = uvicorn.Config(app, port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    config.app.state.context.stopping.set()
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def read(response, count: int) -> list[dict]:
    """That many events: id, name and data."""
    events: list[dict] = []
    event: dict = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in event:
            events.append(event)
            event = {}
        elif name == "data":
            event["data"] = json.loads(value)
        elif name in ("id", "event"):
            event[name] = value
        if len(events) == count:
            return events
    raise AssertionError(f"the stream ended after {events}")


def test_changes_are_streamed_and_a_lost_connection_goes_on_where_it_was(url):
    with httpx2.Client(base_url=url, timeout=15) as client:
        with client.stream("GET", "/v1/events") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            next(response.iter_bytes())  # connected: what comes now is streamed
        first = client.post("/v1/simulations", json=body()).json()["id"]
        client.delete(f"/v1/simulations/{first}")
        second = client.post("/v1/simulations", json=body(number=2)).json()["id"]
        with client.stream("GET", "/v1/events", headers={"Last-Event-ID": "0"}) as response:
            events = read(response, 3)
        assert [event["event"] for event in events] == ["simulation"] * 3
        assert [(event["data"]["id"], event["data"]["status"]) for event in events] == [
            (first, "queued"),
            (first, "cancelled"),
            (second, "queued"),
        ]
        headers = {"Last-Event-ID": events[0]["id"]}
        with client.stream("GET", "/v1/events", headers=headers) as response:
            assert read(response, 2) == events[1:]
        plan = client.post("/v1/plans", json=plan_body()).json()["id"]
        headers = {"Last-Event-ID": "0"}
        with client.stream("GET", "/v1/events?kind=plan", headers=headers) as response:
            (event,) = read(response, 1)
            assert (event["event"], event["data"]["id"]) == ("plan", plan)
        query = {"resource_id": second, "kind": "simulation"}
        headers = {"Last-Event-ID": "0"}
        with client.stream("GET", "/v1/events", params=query, headers=headers) as response:
            assert read(response, 1) == events[2:]


def test_a_new_listener_hears_only_what_happens_from_now_on(url):
    with httpx2.Client(base_url=url, timeout=15) as client:
        client.post("/v1/simulations", json=body())
        with client.stream("GET", "/v1/events") as response:
            lines = response.iter_lines()
            assert next(lines) == ": connected"
            second = client.post("/v1/simulations", json=body(number=2)).json()["id"]
            for line in lines:
                if line.startswith("data: "):
                    assert json.loads(line.removeprefix("data: "))["id"] == second
                    break


async def test_a_stream_has_what_its_key_sees_and_ends_with_it(settings, database, monkeypatch):
    monkeypatch.setattr(endpoints, "_KEY_LOOKED_AT_EVERY_S", 0.2)
    x = await headers_of(database, owner="x")
    y = await headers_of(database, owner="y")
    with serving(guarded_app(settings)) as url, httpx2.Client(base_url=url, timeout=30) as client:
        hidden = client.post("/v1/simulations", json=body(), headers=x).json()["id"]
        client.delete(f"/v1/simulations/{hidden}", headers=x)
        client.delete(f"/v1/simulations/{hidden}", headers=x)
        shared = {"shared": "true"}
        seen = client.post("/v1/simulations", json=body(), headers=x, params=shared).json()["id"]
        own = client.post("/v1/plans", json=plan_body(), headers=y).json()["id"]
        from_the_start = {**y, "Last-Event-ID": "0"}
        with client.stream("GET", "/v1/events", headers=from_the_start) as response:
            lines = response.iter_lines()
            data = [next(line for line in lines if line.startswith("data:")) for _ in range(2)]
            assert [json.loads(line[5:])["id"] for line in data] == [seen, own]
            async with database.write() as session:
                (key,) = [key for key in await all_keys(session) if key.owner == "y"]
                await revoke(session, key.prefix)
            assert not [line for line in lines if line.startswith("data:")]
