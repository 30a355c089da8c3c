"""Real processes of workers over HTTP, and a service that comes and goes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from app.remote.address import TOKEN_VARIABLE
from app.worker_settings import WorkerSettings
from tests.app.conftest import ROOT, wait_for
from tests.app.engine.test_contract import attempts
from tests.app.fakes import body
from tests.app.served import Served

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
URL = "/v1/simulations"


async def test_a_restart_of_the_service_costs_no_work(client, database, settings, start_worker):
    """The job ends while nobody listens; another replica serves the test meanwhile."""
    served = Served(settings)
    try:
        start_worker("--id", "w", "--server", served.url)
        job = client.post(URL, json=body("sleep", seconds=1.5)).json()["id"]
        wait_for(client, f"{URL}/{job}", "running")
        served.stop()
        time.sleep(2.5)
        assert client.get(f"{URL}/{job}").json()["status"] == "running"
        served = Served(settings, served.port)
        wait_for(client, f"{URL}/{job}", "succeeded")
        assert await attempts(database, job) == ["finished"]
    finally:
        served.stop()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--server", "http://10.0.0.4"], "in the clear"),
        (["--server", "{}", "--token-file", "nowhere"], "nowhere"),
        (["--server", "{}"], "unknown, revoked or expired"),
        (["--server", "{}", "--label", "a b=c"], "no service takes such a worker"),
    ],
)
def test_a_worker_that_cannot_attach_says_why_and_never_its_token(served, tmp_path, options, words):
    told = WorkerSettings(data_dir=tmp_path / "remote").as_environment()
    secret = "hr_12345678_" + "s" * 43
    ended = subprocess.run(
        [sys.executable, "-m", "app.remote", *(option.format(served) for option in options)],
        cwd=ROOT,
        env={**os.environ, **told, TOKEN_VARIABLE: secret},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert secret not in ended.stderr + ended.stdout
