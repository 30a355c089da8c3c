"""Disks that are full: the database's, and that of a child's scratch folder."""

from __future__ import annotations

import psutil
import pytest
from starlette.testclient import TestClient

from app.database import migrate
from app.main import create_app
from app.settings import Settings
from tests.app.conftest import wait_for
from tests.app.fakes import accept, body
from tests.faults.disks import disk
from tests.faults.fleet import REAL_WORKER, Fleet, eventually

pytestmark = pytest.mark.timeout(280)
URL = "/v1/simulations"
TINY = {
    "model": {
        "source": "transformers",
        "config": {"model_type": "gpt2", "n_layer": 1, "n_embd": 32, "n_head": 2, "vocab_size": 99},
    },
    "workload": {"batch_size": 2, "sequence_length": 8},
}


@pytest.fixture
def small_disk(tmp_path):
    with disk(tmp_path / "disk", 6) as found:
        yield found


@pytest.fixture
def settings(small_disk):
    """Long enough to be stale that nobody is lost in a test."""
    settings = Settings(
        data_dir=small_disk.folder, default_wait_s=0, heartbeat_s=0.3, queue_poll_s=0.05
    )
    migrate(settings)
    return settings


@pytest.fixture
def client(settings):
    app = create_app(settings, check=accept, check_plan=accept, check_design_search=accept)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_a_full_disk_stores_nothing_by_halves_and_loses_nothing(
    small_disk, client, fleet, tmp_path
):
    fleet.worker("w")
    go = tmp_path / "go"
    running = client.post(URL, json=body("wait", file=str(go))).headers["Location"]
    wait_for(client, running, "running", seconds=120)
    small_disk.fill()

    # What is left of the database's last pages may still take a few.
    refused, stored = None, []
    while refused is None:
        number = len(stored)
        key = {"Idempotency-Key": f"key-{number}"}
        answer = client.post(URL, json=body(number=number, text="x" * 4000), headers=key)
        if answer.status_code == 202:
            stored.append(answer.json()["id"])
        else:
            refused = answer
    assert refused.status_code == 507
    assert refused.json()["type"] == "storage-full"
    assert "make room" in refused.json()["detail"]
    found = [job["id"] for job in client.get(URL).json()["items"]]
    assert sorted(found) == sorted([*stored, running.rpartition("/")[2]])
    go.touch()  # the job has ended, and its result waits for room
    eventually(lambda: "the database is away" in fleet.log())

    small_disk.clear()
    again = client.post(URL, json=body(number=number, text="x" * 4000), headers=key)
    assert again.status_code == 202
    for location in (running, *(f"{URL}/{job_id}" for job_id in (*stored, again.json()["id"]))):
        job = wait_for(client, location, "succeeded", seconds=120)
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["finished"]


@pytest.mark.slow
def test_what_befalls_a_child_is_recorded_and_its_worker_lives(
    sqlite_settings, small_disk, tmp_path
):
    """The real executor: its child is killed, then its scratch folder's disk is full."""
    app = create_app(sqlite_settings)
    with TestClient(app) as client, Fleet(sqlite_settings, tmp_path) as fleet:
        worker = fleet.worker("w", REAL_WORKER, TMPDIR=str(small_disk.folder))
        process = psutil.Process(worker.pid)

        def post(length: int) -> str:
            workload = {**TINY["workload"], "sequence_length": length}
            return client.post(URL, json={**TINY, "workload": workload}).headers["Location"]

        def children() -> list[psutil.Process]:
            """Forked by the warm process, which is the worker's child."""
            return [child for warm in process.children() for child in warm.children()]

        doomed = post(9)
        (child,) = eventually(children)
        child.kill()
        job = wait_for(client, doomed, "failed", seconds=120)
        assert job["problem"]["type"] == "worker-crashed"
        assert "SIGKILL" in job["problem"]["detail"]
        (attempt,) = job["attempts"]
        assert attempt["outcome"] == "finished"
        assert attempt["exit"]["signal"] == "SIGKILL"

        small_disk.fill()
        problem = wait_for(client, post(10), "failed", seconds=120)["problem"]
        assert problem["type"] == "storage-full"
        assert "TMPDIR" in problem["detail"]
        small_disk.clear()
        assert wait_for(client, post(11), "succeeded", seconds=120)["prediction"]
        assert worker.poll() is None
