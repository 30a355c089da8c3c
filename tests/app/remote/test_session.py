"""A worker over HTTP against a service that answers as each test says."""

from __future__ import annotations

import asyncio
import json
import re
from uuid import uuid4

import httpx2
import pytest

from app.gateway.schemas import WorkerAttach
from app.remote import service as remote_service
from app.remote import session as remote_session
from app.remote.service import Refused, Service
from app.remote.session import RemoteWorker
from app.worker_settings import WorkerSettings
from profiler.limits import Limits
from tests.app.fakes import FakeExecutor, body
from tests.app.gateway.worker import PlayedWorker

OVER = {"type": "lease-over", "detail": "it is over"}
LOST = {"type": "session-over", "detail": "attach again"}


HOLDS = (200, "every lease that is named is held")


class Script:
    """A service: lists of answers by the last part of the path; the last of a list stays."""

    def __init__(self, **answers):
        self.answers = {
            "attach": [(200, attached())],
            "heartbeat": [HOLDS],
            "lease": [(204, None)],
            "result": [(200, {"job_id": "sim_1", "attempt": 1})],
            "detach": [(204, None)],
            **answers,
        }
        self.calls: list[tuple[str, str, bytes]] = []

    async def __call__(self, request):
        path = request.url.path
        last = path.rpartition("/")[2]
        name = last if last in ("heartbeat", "result", "drain") else None
        if name is None:
            name = "lease" if "/leases/" in path else "attach"
        if request.method == "DELETE":
            name = "detach"
        self.calls.append((name, last, request.content))
        answers = self.answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, content = answer
        if answer is HOLDS:
            content = {"leases": dict.fromkeys(json.loads(request.content)["leases"], "held")}
        if status == 204 and name == "lease":
            await asyncio.sleep(0.01)
        return httpx2.Response(status, json=content)

    def named(self, name):
        return [(last, content) for kind, last, content in self.calls if kind == name]

    def delivered(self):
        found = [re.search(rb'{"status".*', content) for _, content in self.named("result")]
        return [json.loads(each[0]) for each in found]


def attached(**changes):
    told = {"heartbeat_s": 0.02, "wait_s": 1, "simulations_at_once": 1, "versions": {}}
    return {**told, "differs_in": [], **changes}


def lease(behaviour="succeed", **limits):
    assignment = {
        "kind": "run",
        "request": body(run_behaviour=behaviour),
        "device": {},
        "limits": {"wall_seconds": 60, "memory_bytes": None, "timing_budget_seconds": 60, **limits},
    }
    return {
        "id": str(uuid4()),
        "job_id": "run_1",
        "attempt": 1,
        "assignment": assignment,
        "queued_at": "2026-11-24T12:00:00Z",
    }


class Recorder(FakeExecutor):
    """Remembers the limits that it is given."""

    limits: Limits

    async def run(self, request, device, *, limits, **rest):
        self.limits = limits
        return await super().run(request, device, limits=limits, **rest)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(remote_service, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(remote_service, "_LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(remote_session, "_SHORTEST_ROUND_S", 0.01)
    monkeypatch.setattr(remote_session, "_PATIENCE_S", 0.5)


async def work(script, until, executor=None, settings=None, tmp_path=None):
    """Let a worker live until the condition holds; returns what it used."""
    executor = executor or Recorder()
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(script), base_url="https://service")
    introduction = WorkerAttach.model_validate(PlayedWorker(None, simulates=False).body)
    worker = RemoteWorker(
        Service(client, uuid4()), settings or WorkerSettings(), introduction, executor, None
    )
    living = asyncio.create_task(worker.live())
    async with asyncio.timeout(20):
        while not until() and not living.done():
            await asyncio.sleep(0.01)
        worker._told_to_stop.set()
        await living
    return executor


async def test_a_job_is_taken_done_and_delivered_and_the_worker_leaves():
    script = Script(lease=[(200, lease()), (204, None)])
    await work(script, lambda: len(script.named("lease")) > 2)
    (delivered,) = script.delivered()
    assert delivered["status"] == "succeeded"
    assert delivered["result"]["measured"]["peak_bytes"] == 1250
    names = [name for name, *_ in script.calls]
    assert (names[0], names[-1]) == ("attach", "detach")


async def test_after_a_cut_the_same_question_is_asked_again(caplog):
    cut = httpx2.ReadError("cut")
    script = Script(lease=[cut, (503, {}), (200, lease()), (204, None)])
    await work(script, script.delivered)
    names = [last for last, _ in script.named("lease")]
    assert len(set(names[:3])) == 1
    assert names[3] != names[0]
    assert "cut" in caplog.text


async def test_a_result_is_delivered_until_it_is_heard():
    cut = httpx2.ConnectError("refused")
    result = [cut, (502, {}), cut, (200, {"job_id": "run_1", "attempt": 1})]
    script = Script(lease=[(200, lease()), (204, None)], result=result)
    await work(script, lambda: len(script.delivered()) == 4)
    assert len({last for last, _ in script.named("result")}) == 1


async def test_the_result_of_a_lost_lease_is_dropped_and_said(caplog):
    script = Script(lease=[(200, lease()), (204, None)], result=[(410, OVER)])
    await work(script, lambda: len(script.named("lease")) > 3)
    assert len(script.delivered()) == 1
    assert "dropped" in caplog.text


@pytest.mark.parametrize("status", [413, 422])
async def test_a_result_that_is_refused_becomes_a_failure_of_the_job(status):
    problem = {"type": "x", "detail": "/outcome/result: no such thing"}
    result = [(status, problem), (200, {})]
    script = Script(lease=[(200, lease()), (204, None)], result=result)
    await work(script, lambda: len(script.named("lease")) > 2)
    first, second = script.delivered()
    assert first["status"] == "succeeded"
    assert second["status"] == "failed"
    assert "no such thing" in second["problem"]["detail"]


async def test_a_service_that_fails_at_a_result_for_ever_is_not_asked_for_ever():
    script = Script(lease=[(200, lease()), (204, None)], result=[(500, {})] * 10 + [(200, {})])
    await work(script, lambda: len(script.named("lease")) > 2)
    assert [each["status"] for each in script.delivered()] == ["succeeded"] * 10 + ["failed"]


@pytest.mark.parametrize("state", ["cancelled", "lost", "unknown"])
async def test_work_on_a_lease_that_is_over_is_stopped(state):
    given = lease("sleep")
    states = [(200, {"leases": {given["id"]: said}}) for said in ("held", state)]
    script = Script(lease=[(200, given), (204, None)], heartbeat=states)
    executor = await work(script, lambda: len(script.named("lease")) > 2)
    assert executor.cancelled.is_set()
    assert script.delivered() == []


async def test_progress_is_told_once_and_what_is_none_left_out():
    class Reports(FakeExecutor):
        async def run(self, request, device, *, on_progress, **rest):
            on_progress({"phase": "first"})
            await asyncio.sleep(0.2)
            on_progress({"phase": float("nan")})
            await asyncio.sleep(0.2)
            return await super().run(request, device, on_progress=lambda said: None, **rest)

    given = lease()
    heartbeat = [(200, {"leases": {given["id"]: "held"}})]
    script = Script(lease=[(200, given), (204, None)], heartbeat=heartbeat)
    await work(script, script.delivered, Reports())
    said = [json.loads(content)["leases"] for _, content in script.named("heartbeat")]
    phases = [progress for each in said for progress in each.values() if progress is not None]
    assert phases == [{"phase": "first"}]


async def test_a_worker_that_was_taken_for_dead_attaches_again():
    script = Script(heartbeat=[(410, LOST), HOLDS], lease=[(410, LOST), (204, None)])
    await work(script, lambda: len(script.named("attach")) > 2)
    assert len({last for last, _ in script.named("attach")}) == 1


async def test_an_id_that_another_has_is_waited_for_once(caplog):
    taken = {"type": "worker-id-taken", "detail": "it was here", "retry_after_s": 0.01}
    script = Script(attach=[(409, taken), (200, attached())])
    await work(script, lambda: script.named("lease"))
    assert "it was here" in caplog.text
    with pytest.raises(Refused, match="it was here"):
        await work(Script(attach=[(409, taken)]), lambda: False)


@pytest.mark.parametrize("name", ["attach", "heartbeat", "lease"])
async def test_a_worker_without_a_valid_key_ends(name):
    refusal = (401, {"type": "unauthorized", "detail": "the key is revoked"})
    with pytest.raises(Refused, match="revoked"):
        await work(Script(**{name: [refusal]}), lambda: False)


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [(404, ["no"], "is it a Headroom service"), (307, {}, "no problem|elsewhere|no reason")],
)
async def test_an_address_of_something_else_ends_it(status, content, words):
    with pytest.raises(Refused, match=words):
        await work(Script(attach=[(status, content)]), lambda: False)


@pytest.mark.parametrize(
    ("asked", "own", "got"),
    [
        ((60, None), {}, (60, None)),
        ((60, 100), {"run_timeout_s": 5, "run_memory_bytes": 50}, (5, 50)),
        ((1e9, 100), {"run_timeout_s": 5, "run_memory_bytes": 500}, (5, 100)),
    ],
)
async def test_children_are_bounded_by_both_sides(asked, own, got):
    given = lease(wall_seconds=asked[0], memory_bytes=asked[1])
    script = Script(lease=[(200, given), (204, None)])
    executor = await work(script, script.delivered, settings=WorkerSettings(**own))
    assert (executor.limits.wall_seconds, executor.limits.memory_bytes) == got


async def test_other_versions_are_said(caplog):
    told = attached(versions={"torch": "9.9"}, differs_in=["torch"])
    script = Script(attach=[(200, told)])
    await work(script, lambda: script.named("lease"))
    assert "torch" in caplog.text
    assert "9.9" in caplog.text


async def test_a_worker_that_is_told_to_stop_before_it_is_let_in_ends():
    script = Script(attach=[httpx2.ConnectError("refused")], detach=[httpx2.ConnectError("no")])
    await work(script, lambda: len(script.named("attach")) > 2)
    assert script.named("lease") == []
