"""A real service that asks for keys, and a real worker that knows nothing but its address."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from app.access.keys import Scope, make_key
from app.access.repository import add_key
from app.database import Database
from app.settings import Settings
from tests.e2e.server import ROOT, Server, end_all
from tests.e2e.test_server import LONG, SMALL, end_of, start_run, status, succeeded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


def key(folder, scope: Scope) -> str:
    """A key, as `headroom keys create` makes it."""

    async def store(made):
        database = Database(Settings(data_dir=folder).url)
        async with database.write() as session:
            await add_key(session, made, "a test", frozenset({scope}), None)
        await database.close()

    made = make_key()
    asyncio.run(store(made))
    return made.text


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    with Server(folder, with_worker=False, HEADROOM_AUTH="on") as server:
        server.client.headers["Authorization"] = f"Bearer {key(folder, Scope.WRITE)}"
        yield server


@pytest.fixture
def token(server, tmp_path):
    return key(tmp_path / "service", Scope.WORKER)


@pytest.fixture
def worker(server, token, tmp_path):
    """Told of the service by its command line, and by no variable."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("HEADROOM_")
    }
    (tmp_path / "token").write_text(token)
    options = ["--server", str(server.client.base_url), "--token-file", str(tmp_path / "token")]
    options += ["--id", "far", "--label", "device=cpu"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "worker", *options],
            cwd=tmp_path,
            env={**variables, "HEADROOM_DATA_DIR": str(tmp_path / "far"), "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    yield psutil.Process(process.pid)
    family = [psutil.Process(process.pid)] if process.poll() is None else []
    for parent in list(family):
        family += parent.children(recursive=True)
    end_all(family)
    process.wait(10)


def test_predicted_run_and_cancelled_far_from_the_database(server, worker, token, tmp_path):
    client = server.client
    simulation = succeeded(client, SMALL)
    run = client.post("/v1/runs", json={"simulation_id": simulation["id"]})
    done = end_of(server, f"/v1/runs/{run.json()['id']}")
    assert done["status"] == "succeeded", done
    assert abs(done["relative_error"]) < 0.001
    assert done["worker"]["id"] == "far"
    assert client.get(f"/v1/runs/{done['id']}/timeline").status_code == 200
    assert client.get(f"/v1/simulations/{simulation['id']}/graph?depth=1").status_code == 200
    (shown,) = client.get("/v1/workers").json()["items"]
    assert (shown["attachment"], shown["differs_in"]) == ("gateway", [])

    idle = set(worker.children(recursive=True))
    location = start_run(client, LONG)
    (child,) = server.wait_until(lambda: set(worker.children(recursive=True)) - idle)
    server.wait_until(lambda: status(client, location) == "running")
    assert client.delete(location).json()["status"] == "cancelled"
    server.wait_until(lambda: not child.is_running() or child.status() == "zombie", 20)

    worker.send_signal(signal.SIGTERM)
    server.wait_until(lambda: client.get("/v1/workers").json()["items"][0]["state"] == "offline")
    assert not list((tmp_path / "far").glob("*.db"))
    for log in (tmp_path / "worker.log", server.log):
        assert token not in log.read_text()
