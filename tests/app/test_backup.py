"""The commands of docs/backup.md, as they are printed, on a service under load."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import select
from starlette.testclient import TestClient

from app.main import create_app
from app.models import JobAttempt, Simulation
from app.settings import Settings
from tests.app.conftest import ROOT, end, make_settings, wait_for
from tests.app.fakes import accept, body
from tests.documents.blocks import run_by

(BLOCKS,) = run_by(__file__).values()
NAMES = ["backup: postgresql", "restore: postgresql", "backup: sqlite", "restore: sqlite"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def kind(request) -> str:
    tool = {"sqlite": "sqlite3", "postgresql": "pg_dump"}[request.param]
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")
    return request.param


@pytest.fixture
def source(request, kind, tmp_path) -> Settings:
    settings = make_settings(request, tmp_path, kind)
    if kind == "sqlite":
        return settings
    return settings.model_copy(update={"database_url": request.getfixturevalue("postgres_url")})


@pytest.fixture
def restored(source, kind, tmp_path):
    """Where the restore shall lead; a new database is dropped afterwards."""
    if kind == "sqlite":
        yield source.model_copy(update={"data_dir": tmp_path / "restored"})
        return
    url = source.database_url.replace("/postgres?", "/headroom_restored?")
    yield source.model_copy(update={"database_url": url, "data_dir": tmp_path / "restored"})
    with psycopg.connect(source.database_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS headroom_restored WITH (FORCE)")


def run_block(name: str, folder: Path, **variables: str) -> None:
    """Run a block of the page in the folder."""
    block = dict(zip(NAMES, BLOCKS, strict=True))[name].text
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    finished = subprocess.run(
        ["bash", "-euc", block],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr


@contextmanager
def service(settings: Settings):
    app = create_app(settings, check=accept, check_plan=accept, check_design_search=accept)
    with TestClient(app) as client:
        yield client


@contextmanager
def worker(settings: Settings, name: str):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.app.fake_worker", "--id", name],
        cwd=ROOT,
        env={**os.environ, **settings.as_environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        end(process)


@contextmanager
def load(client: TestClient):
    """Requests, one after another, while the block lasts; yields the ids that were accepted."""
    accepted: list[str] = []
    stop = threading.Event()

    def post() -> None:
        while not stop.is_set():
            answer = client.post("/v1/simulations", json=body(n_layer=len(accepted)))
            accepted.append(answer.json()["id"])
            time.sleep(0.05)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield accepted
    finally:
        stop.set()
        thread.join(30)


def query(settings: Settings, statement):
    """All rows."""
    engine = sqlalchemy.create_engine(settings.url)
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    engine.dispose()
    return rows


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def statuses(settings: Settings) -> dict[str, str]:
    return dict(query(settings, select(Simulation.id, Simulation.status)))


def attempts(settings: Settings) -> dict[str, list[str]]:
    """Job -> how each of its attempts ended."""
    found: dict[str, list[str]] = {}
    rows = select(JobAttempt.job_id, JobAttempt.outcome).order_by(JobAttempt.number)
    for job, outcome in query(settings, rows):
        found.setdefault(job, []).append(outcome)
    return found


def test_a_backup_taken_under_load_loses_and_doubles_nothing(kind, source, restored, tmp_path):
    of_source = source.as_environment()
    with service(source) as client, worker(source, "old"):
        done = client.post("/v1/simulations", json=body(n_layer=-1)).headers["Location"]
        wait_for(client, done, "succeeded", seconds=90)
        # Keeps the only worker busy, so that everything after it stays queued.
        running = client.post("/v1/simulations", json=body("sleep", seconds=600)).json()["id"]
        wait_for(client, f"/v1/simulations/{running}", "running")
        with load(client) as accepted:
            until(lambda: len(accepted) >= 5)
            before = list(accepted)
            run_block(f"backup: {kind}", tmp_path, **of_source)
            until(lambda: len(accepted) > len(before))

    run_block(
        f"restore: {kind}",
        tmp_path,
        **of_source,
        ADMIN_URL=source.database_url or "",
        RESTORED_URL=restored.database_url or "",
        RESTORED_DIR=str(restored.data_dir),
    )
    found = statuses(restored)
    assert found.pop(done.rpartition("/")[2]) == "succeeded"
    assert found.pop(running) == "running"
    assert set(before) <= set(found) <= set(accepted)
    assert set(found.values()) == {"queued"}
    # The job that ran on the worker that is no more occupies one of the two.
    with (
        service(restored) as client,
        worker(restored, "new-1"),
        worker(restored, "new-2"),
    ):
        until(lambda: [*statuses(restored).values()].count("succeeded") == len(found) + 1)
        until(lambda: attempts(restored)[running] == ["lost", None])
        again = client.post("/v1/simulations", json=body(n_layer=0))
        assert (again.status_code, again.json()["id"]) == (200, before[0])
    ends = attempts(restored)
    assert ends.pop(running) == ["lost", None]
    assert len(ends) == len(found) + 1
    assert set(map(tuple, ends.values())) == {("finished",)}
