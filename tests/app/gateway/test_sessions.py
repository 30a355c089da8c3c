"""Who may attach as what, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.access.repository import revoke
from app.engine.attachment import attach
from app.engine.machine import describe_worker
from app.kit.columns import utc_now
from app.models import AuditEntry, Worker
from tests.app.fakes import body
from tests.app.gateway.worker import PlayedWorker
from tests.app.keys import guarded_app
from tests.app.test_access import key_of, with_key

on_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
pytestmark = on_sqlite


@pytest.fixture
def guarded(settings):
    with TestClient(guarded_app(settings), raise_server_exceptions=False) as client:
        yield client


def states(client) -> dict[str, str]:
    return {each["id"]: each["state"] for each in client.get("/v1/workers").json()["items"]}


async def test_an_attached_worker_is_shown_as_what_it_is(client, database):
    await attach(database, "beside", describe_worker(None, None))
    worker = PlayedWorker(client, versions={"torch": "2.0.0"}, labels={"device": "cpu", "a": "b"})
    told = worker.attach().json()
    assert told["heartbeat_s"] == client.app.state.context.settings.heartbeat_s
    assert "torch" in told["differs_in"]
    shown = {each["id"]: each for each in client.get("/v1/workers").json()["items"]}
    assert shown["beside"]["attachment"] == "direct"
    assert shown["w"]["attachment"] == "gateway"
    assert shown["w"]["labels"] == {"device": "cpu", "a": "b"}
    assert shown["w"]["hostname"] == "far-away"
    assert "torch" in shown["w"]["differs_in"]
    assert worker.path.rpartition("/")[2] not in str(shown)


def test_a_life_from_its_beginning_to_its_end(client):
    worker = PlayedWorker(client)
    assert worker.attach().status_code == worker.attach().status_code == 200
    assert states(client) == {"w": "online"}
    assert worker.drain().status_code == worker.drain().status_code == 204
    assert states(client) == {"w": "draining"}
    worker.attach()  # repeated late by a network: it still drains
    assert states(client) == {"w": "draining"}
    assert worker.lease().status_code == 410
    assert worker.detach().status_code == worker.detach().status_code == 204
    assert states(client) == {"w": "offline"}
    for call in (worker.heartbeat, worker.lease, worker.drain):
        answer = call()
        assert (answer.status_code, answer.json()["type"]) == (410, "session-over")
    assert worker.attach().status_code == 200
    assert states(client) == {"w": "online"}


async def test_two_processes_cannot_have_one_id_while_both_live(client, database):
    first, second = PlayedWorker(client), PlayedWorker(client)
    first.attach()
    refused = second.attach()
    assert (refused.status_code, refused.json()["type"]) == (409, "worker-id-taken")
    assert 0 < refused.json()["retry_after_s"] <= 2
    assert second.attach(replaces=str(uuid4())).status_code == 409
    assert first.heartbeat().status_code == 200
    async with database.write() as session:
        worker = await session.get(Worker, "w")
        worker.last_seen_at = utc_now() - timedelta(seconds=30)
    assert second.attach().status_code == 200
    assert first.heartbeat().status_code == 410


def test_a_process_that_knows_its_predecessor_dead_goes_on_at_once(client):
    first, second = PlayedWorker(client), PlayedWorker(client)
    job = client.post("/v1/simulations", json=body()).json()["id"]
    first.attach()
    name = str(uuid4())
    assert first.lease(name).json()["job_id"] == job
    assert second.attach(replaces=first.path.rpartition("/")[2]).status_code == 200
    assert second.lease().json()["attempt"] == 2
    assert first.finish(name).status_code == 410


async def test_a_worker_with_the_database_is_not_replaced(client, database):
    await attach(database, "w", describe_worker(None, None))
    assert PlayedWorker(client).attach().status_code == 409


def test_a_session_is_one_worker_s(client):
    worker = PlayedWorker(client)
    worker.attach()
    assert worker.attach(worker_id="other").status_code == 409
    assert set(states(client)) == {"w"}


def test_what_no_worker_can_be(client):
    card = {"kind": "cuda", "name": "x", "memory_bytes": 1}
    for change, pointer in (
        ({"labels": {"room": "east"}}, ""),
        ({"labels": {"device": "a,b=c"}}, "/labels/device"),
        ({"worker_id": "a\nb"}, "/worker_id"),
        ({"device": {**card, "memory_bytes": -1}}, "/device/memory_bytes"),
        ({"device": {**card, "context_bytes": 1}}, "/device"),
        ({"surprise": 1}, "/surprise"),
    ):
        refused = PlayedWorker(client).attach(**change)
        assert refused.status_code == 422, change
        assert refused.json()["errors"][0]["pointer"] == pointer
    assert states(client) == {}


def test_what_it_measured_of_its_card_is_known_of_the_profile(client):
    device = {
        "kind": "cuda",
        "name": "NVIDIA H100 80GB HBM3",
        "memory_bytes": 85 * 10**9,
        "driver": "580.105.08",
        "uuid": "GPU-a",
        "cuda": "13.0",
        "context_bytes": 400 * 2**20,
        "context_notes": ["the whole card gained"],
    }
    labels = {"device": "cuda", "profile": "h100-80gb"}
    PlayedWorker(client, device=device, labels=labels, simulates=False).attach()
    context = client.get("/v1/devices/h100-80gb").json()["context_bytes"]
    assert context["measured"]
    assert context["low_bytes"] == context["high_bytes"] == 400 * 2**20
    for words in ("worker w", "580.105.08", "CUDA 13.0", "whole card"):
        assert words in context["source"]


class TestKeys:
    async def test_only_keys_of_workers_and_admins(self, guarded, database):
        for scope, status in (("read", 403), ("write", 403), ("worker", 200), ("admin", 200)):
            key = await key_of(database, scope)
            assert PlayedWorker(guarded, scope, key).attach().status_code == status, scope
        assert PlayedWorker(guarded, "nobody").attach().status_code == 401

    async def test_a_worker_s_key_can_do_nothing_else(self, guarded, database):
        headers = with_key(await key_of(database, "worker"))
        paths = guarded.app.openapi()["paths"]
        for path, methods in paths.items():
            if path.startswith("/v1/gateway/") or path in ("/healthz", "/readyz"):
                continue
            for method in methods:
                answer = guarded.request(method, path, headers=headers)
                assert answer.status_code == 403, (method, path)
        assert guarded.get("/v1/gatewayx", headers=headers).status_code == 403
        assert guarded.get("/v1/gateway/../runs", headers=headers).status_code in (403, 404)

    async def test_another_key_speaks_for_no_worker_until_the_first_is_revoked(
        self, guarded, database
    ):
        ours, theirs = await key_of(database, "worker"), await key_of(database, "worker")
        worker = PlayedWorker(guarded, key=ours)
        worker.attach()
        thief = PlayedWorker(guarded, key=theirs)
        thief.path = worker.path
        for call in (thief.heartbeat, thief.lease, thief.drain, thief.detach, thief.attach):
            assert call().status_code == 403
        worker.detach()
        thief.path = worker.path[:-1] + "0"
        assert thief.attach().status_code == 403
        async with database.write() as session:
            await revoke(session, ours.prefix)
        assert thief.attach().status_code == 200

    async def test_heartbeats_are_neither_limited_nor_noted(self, settings, database):
        limited = guarded_app(settings, rate_limit="5/minute")
        with TestClient(limited, raise_server_exceptions=False) as client:
            await self._beat(client, database)

    async def _beat(self, client, database):
        worker = PlayedWorker(client, key=await key_of(database, "worker"))
        worker.attach()
        assert {worker.heartbeat().status_code for _ in range(8)} == {200}
        stranger = await key_of(database, "read")
        worker.headers = with_key(stranger)
        assert worker.heartbeat().status_code == 403
        async with database.read() as session:
            noted = list(await session.scalars(select(AuditEntry)))
        assert [(row.method, row.status) for row in noted] == [("PUT", 200), ("PUT", 403)]
