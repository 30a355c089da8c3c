"""Processes that are killed and frozen: API replicas, a whole host, workers with wrong clocks."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx2
import pytest

from tests.app.conftest import wait_for
from tests.app.engine.test_contract import freeze
from tests.app.fakes import body
from tests.faults.fleet import SKEWED_WORKER, eventually, kill_tree

pytestmark = pytest.mark.timeout(280)
URL = "/v1/simulations"


@pytest.mark.postgres
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_post_that_dies_with_its_replica_is_sent_again_to_another(fleet, tmp_path):
    """As a client does that uses Idempotency-Key: the same request again, until it is answered."""
    dies, lives = fleet.replicas(2)
    bodies = [body("wait", file=str(tmp_path / "go"), number=number) for number in range(4)]

    def send(replica, number: int) -> httpx2.Response:
        key = {"Idempotency-Key": f"key-{number}", "Prefer": "wait=120"}
        return replica.client.post(URL, json=bodies[number], headers=key)

    with ThreadPoolExecutor(len(bodies)) as threads:
        waiting = [threads.submit(send, dies, number) for number in range(len(bodies))]
        eventually(lambda: len(stored(lives)) == len(bodies))
        made = stored(lives)
        dies.process.kill()
        for each in waiting:
            with pytest.raises(httpx2.TransportError):
                each.result()
        again = [threads.submit(send, lives, number) for number in range(len(bodies))]
        (tmp_path / "go").touch()
        fleet.worker("w")
        answers = [each.result() for each in again]
    assert {answer.status_code for answer in answers} == {200}  # made before, and done now
    assert {answer.json()["id"] for answer in answers} == made
    assert {answer.json()["status"] for answer in answers} == {"succeeded"}
    assert stored(lives) == made


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_host_that_dies_goes_on_where_it_was(fleet, tmp_path):
    go = tmp_path / "go"
    (replica,) = fleet.replicas(1)
    worker = fleet.worker("w")
    key = {"Idempotency-Key": "one"}
    request = body("wait", file=str(go))
    running = replica.client.post(URL, json=request, headers=key).headers["Location"]
    eventually(lambda: replica.job(running)["status"] == "running")
    queued = replica.client.post(URL, json=body(number=2)).headers["Location"]
    for process in (worker, replica.process):
        kill_tree(process)
    go.touch()
    fleet.worker("w")
    (replica,) = fleet.replicas(1)
    again = replica.client.post(URL, json=request, headers=key)
    assert f"{URL}/{again.json()['id']}" == running
    assert [each["outcome"] for each in replica.end_of(running)["attempts"]] == ["lost", "finished"]
    assert [each["outcome"] for each in replica.end_of(queued)["attempts"]] == ["finished"]


@pytest.mark.postgres
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)  # SQLite's share one clock
def test_workers_whose_clocks_are_wrong_are_as_good_as_others(settings, client, fleet, tmp_path):
    """One is ten minutes ahead and one as many behind; each takes a job, and one is frozen."""
    ahead = fleet.worker("ahead", command=SKEWED_WORKER, CLOCK_AHEAD_S="600")
    go = tmp_path / "go"
    location = client.post(URL, json=body("wait", file=str(go))).headers["Location"]
    wait_for(client, location, "running", seconds=120)
    fleet.worker("behind", command=SKEWED_WORKER, CLOCK_AHEAD_S="-600")
    eventually(lambda: states(client) == {"ahead": "busy", "behind": "online"})
    time.sleep(1.2 * settings.worker_stale_s)
    assert states(client) == {"ahead": "busy", "behind": "online"}
    freeze(ahead, settings.data_dir)
    go.touch()
    job = wait_for(client, location, "succeeded", seconds=120)
    found = [(attempt["worker_id"], attempt["outcome"]) for attempt in job["attempts"]]
    assert found == [("ahead", "lost"), ("behind", "finished")]
    moments = [job["created_at"]]
    for attempt in job["attempts"]:
        moments += [attempt["started_at"], attempt["finished_at"]]
    assert sorted(moments, key=datetime.fromisoformat) == moments
    ahead.send_signal(signal.SIGCONT)
    eventually(lambda: states(client)["ahead"] == "online")
    eventually(lambda: "no longer ours; its outcome is dropped" in fleet.log())
    assert client.get(location).json() == job


def stored(replica) -> set[str]:
    return {job["id"] for job in replica.client.get(URL).json()["items"]}


def states(client) -> dict[str, str]:
    return {each["id"]: each["state"] for each in client.get("/v1/workers").json()["items"]}
