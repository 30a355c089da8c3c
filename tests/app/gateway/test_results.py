"""What a worker sends is refused as a whole, or stored as a whole."""

from __future__ import annotations

import io
import zipfile
import zlib
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.main import create_app
from app.models import Artifact
from planner.tape import Tape
from tests.app.fakes import MEASURED, accept, body
from tests.app.gateway.worker import TAPE, TIMELINE, PlayedWorker, ran, simulated

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
URL = "/v1/simulations"
PROBLEM = {"type": "step-failed", "title": "The step fails", "detail": "as told"}


@pytest.fixture
def worker(client):
    worker = PlayedWorker(client)
    worker.attach()
    return worker


@pytest.fixture
def lease(client, worker):
    client.post(URL, json=body())
    name = str(uuid4())
    worker.lease(name)
    return name


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(f"{name}.npy", data)
    return zlib.compress(file.getvalue())


REFUSED = [
    (simulated(peak_bytes="many"), {"tape": TAPE}, "/outcome/result/prediction/peak_bytes"),
    ({"status": "succeeded", "result": {}}, {"tape": TAPE}, "/outcome/result/prediction"),
    ({"status": "succeeded"}, {"tape": TAPE}, "/outcome"),
    ({"status": "lost", "problem": PROBLEM}, {}, "/outcome/status"),
    ({"status": "failed", "problem": {"title": 7}}, {}, "/outcome/problem/type"),
    ({"status": "failed", "problem": PROBLEM, "result": {}}, {}, "/outcome"),
    ({"status": "out_of_memory", "problem": PROBLEM}, {}, "/outcome/status"),
    (simulated(peak_phase="a\0b"), {"tape": TAPE}, "/outcome"),
    (simulated(step_seconds=float("nan")), {"tape": TAPE}, "/outcome"),
    (simulated(), {}, "/tape"),
    (simulated(), {"tape": b"no zlib"}, "/tape"),
    (simulated(), {"tape": TAPE + b"more"}, "/tape"),
    (simulated(), {"tape": TAPE[:-9]}, "/tape"),
    (simulated(), {"tape": zlib.compress(b"no tape")}, "/tape"),
    (simulated(), {"tape": archive(tables=bytes(2**24))}, "/tape"),
    (simulated(), {"tape": TAPE, "timeline": TIMELINE}, "/timeline"),
]


async def test_what_is_malformed_is_refused_and_nothing_of_it_kept(client, worker, lease, database):
    client.app.state.context.settings.max_result_bytes = 2**20
    for outcome, files, pointer in REFUSED:
        refused = worker.deliver(lease, outcome, **files)
        assert refused.status_code == 422, (pointer, refused.text)
        assert refused.json()["errors"][0]["pointer"] == pointer
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Artifact)) == 0
    # The lease is still there to be delivered as it should be.
    assert worker.heartbeat(**{lease: None}).json()["leases"] == {lease: "held"}
    assert worker.finish(lease).status_code == 200


async def test_a_number_that_no_column_holds_is_refused(client, worker, lease):
    refused = worker.deliver(lease, simulated(peak_bytes=2**70), tape=TAPE)
    assert refused.status_code == 422
    assert worker.finish(lease).status_code == 200


def test_what_is_no_form_is_refused(worker, lease):
    path = f"/leases/{lease}/result"
    assert worker.call("PUT", path, json={"status": "succeeded"}).status_code == 422
    broken = {"content": b"--x\r\nno form", "headers": {"Content-Type": "multipart/form-data"}}
    assert worker.call("PUT", path, **broken).status_code == 400
    assert worker.finish(lease).status_code == 200


def test_results_have_a_limit_of_their_own(settings):
    settings = settings.model_copy(update={"max_body_bytes": 4096, "max_result_bytes": 8192})
    with TestClient(create_app(settings, check=accept)) as client:
        worker = PlayedWorker(client)
        worker.attach()
        client.post(URL, json=body())
        name = str(uuid4())
        worker.lease(name)
        padded = {**simulated(), "exit": {"log": "x" * 5000}}
        refused = worker.deliver(name, padded, tape=TAPE + bytes(5000))
        assert refused.status_code == 413
        assert "8192" in refused.json()["detail"]
        assert worker.heartbeat(**{str(uuid4()): {"x": "y" * 5000}}).status_code == 413
        assert worker.deliver(name, padded, tape=TAPE).status_code == 200


def test_a_failure_is_stored_with_its_problem(client, worker, lease):
    sent = {"status": "failed", "problem": PROBLEM, "exit": {"code": 1, "log": "the end"}}
    job = worker.deliver(lease, sent).json()["job_id"]
    failed = client.get(f"{URL}/{job}").json()
    assert (failed["status"], failed["problem"]) == ("failed", PROBLEM)


async def test_a_tape_is_kept_as_it_was_sent(worker, lease, database):
    job = worker.finish(lease).json()["job_id"]
    async with database.read() as session:
        artifact = await session.get_one(Artifact, (job, "tape"))
    assert artifact.content == TAPE
    assert artifact.size_bytes == len(zlib.decompress(TAPE))
    assert Tape.load(zlib.decompress(artifact.content)).storage_bytes.tolist() == [1000]


def test_results_of_runs(client, worker, lease):
    simulation = worker.finish(lease).json()["job_id"]
    run = client.post("/v1/runs", json={"simulation_id": simulation}).json()["id"]
    name = str(uuid4())
    worker.lease(name, kind="run")
    for wrong in (
        {"measured": {**MEASURED, "phases": [{}]}},
        {"environment": []},
        {"slowdown": "fast"},
        {"gradients_match": {"match": "perhaps"}},
    ):
        assert worker.deliver(name, ran(**wrong), timeline=TIMELINE).status_code == 422, wrong
    assert worker.deliver(name, ran(), tape=TAPE).status_code == 422
    assert client.get(f"/v1/runs/{run}").json()["status"] == "running"
    reason = {"reason": "it does not fit"}
    delivered = worker.deliver(
        name, ran(gradients_match=reason, baseline=reason), timeline=TIMELINE
    )
    assert delivered.status_code == 200
    assert client.get(f"/v1/runs/{run}").json()["gradients_match"] == reason
