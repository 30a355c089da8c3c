"""The database away: stopped, and behind a network that is cut. A server of these tests' own."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from starlette.testclient import TestClient

from app.database import migrate
from app.main import create_app
from app.settings import Settings
from tests.app import postgres
from tests.app.conftest import wait_for
from tests.app.fakes import accept, body
from tests.faults.fleet import FAKE_WORKER, FINAL, eventually
from tests.faults.network import NotPermitted, network

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(280)]
URL = "/v1/simulations"
STALE_S = 3


@pytest.fixture(scope="module")
def cable():
    """The network between the server and another host; None, with the reason, where not allowed."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(network()), ""
        except NotPermitted as error:
            found = None, str(error)
        yield found


@pytest.fixture(scope="module")
def server(cable):
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("NO POSTGRESQL BINARIES: install the package `postgresql` to run these tests")
    wire = cable[0]
    with postgres.cluster(folder, "" if wire is None else wire.address) as cluster:
        if wire is not None:
            cluster.allow(wire.network)
            cluster.stop()
            cluster.start()
        yield cluster


@pytest.fixture
def settings(server, tmp_path):
    settings = Settings(
        data_dir=tmp_path,
        database_url=server.url,
        default_wait_s=0,
        heartbeat_s=0.3,
        worker_stale_s=STALE_S,
        queue_poll_s=0.05,
    )
    migrate(settings)
    return settings


@pytest.fixture
def client(settings):
    app = create_app(settings, check=accept, check_plan=accept, check_design_search=accept)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def post(client, *arguments, **config) -> str:
    return f"{URL}/{client.post(URL, json=body(*arguments, **config)).json()['id']}"


def ended(client, location: str) -> dict:
    return wait_for(client, location, *FINAL, seconds=120)


def outcomes(job: dict) -> list[tuple[str, str | None]]:
    return [(attempt["worker_id"], attempt["outcome"]) for attempt in job["attempts"]]


def worker_states(client) -> dict[str, str]:
    return {each["id"]: each["state"] for each in client.get("/v1/workers").json()["items"]}


def test_a_restart_of_the_server_is_outlasted(server, client, fleet, tmp_path):
    fleet.worker("w")
    go = tmp_path / "go"
    running = post(client, "wait", file=str(go))
    wait_for(client, running, "running", seconds=120)
    queued = post(client, number=2)
    fleet.worker("other")  # it must not take the first for dead because of the outage
    eventually(lambda: worker_states(client).get("other") == "online")
    server.stop()
    go.touch()  # its result must wait
    for response in (
        client.get(running),
        client.get("/readyz"),
        client.post(URL, json=body(number=3), headers={"Idempotency-Key": "three"}),
    ):
        assert response.status_code == 503
        assert response.json()["type"] == "not-ready"
        assert int(response.headers["Retry-After"]) > 0
    time.sleep(STALE_S + 1)
    server.start()
    assert client.get("/readyz").status_code == 200
    assert outcomes(job := ended(client, running)) == [("w", "finished")]
    assert job["status"] == "succeeded"
    assert [outcome for _, outcome in outcomes(ended(client, queued))] == ["finished"]
    again = client.post(URL, json=body(number=3), headers={"Idempotency-Key": "three"})
    assert again.status_code == 202
    assert ended(client, f"{URL}/{again.json()['id']}")["status"] == "succeeded"


def test_a_network_that_is_cut_loses_and_doubles_nothing(cable, client, fleet, tmp_path):
    wire, reason = cable
    if wire is None:
        pytest.skip(f"NO NETWORK NAMESPACES: {reason}")
    far = f"postgresql://postgres@{wire.address}/postgres"
    fleet.worker("far", (*wire.prefix, *FAKE_WORKER), HEADROOM_DATABASE_URL=far)
    first, second = tmp_path / "first", tmp_path / "second"
    short = post(client, "wait", file=str(first))
    wait_for(client, short, "running", seconds=120)
    wire.cut()
    first.touch()
    time.sleep(STALE_S / 3)
    wire.mend()
    assert outcomes(ended(client, short)) == [("far", "finished")]

    long = post(client, "wait", file=str(second))
    wait_for(client, long, "running", seconds=120)
    fleet.worker("near")
    eventually(lambda: worker_states(client).get("near") == "online")
    wire.cut()
    second.touch()  # the far worker ends it too, and cannot say so
    job = ended(client, long)
    assert outcomes(job) == [("far", "lost"), ("near", "finished")]
    wire.mend()
    eventually(lambda: "no longer ours; its outcome is dropped" in fleet.log())
    eventually(lambda: worker_states(client)["far"] == "online")
    assert client.get(long).json() == job
