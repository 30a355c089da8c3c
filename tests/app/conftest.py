from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy
from starlette.testclient import TestClient

from app.database import Database, migrate
from app.main import create_app
from app.settings import Settings
from app.worker_settings import WorkerSettings
from tests.app import postgres
from tests.app.fakes import accept
from tests.app.served import Served

ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("NO POSTGRESQL BINARIES: install the package `postgresql` to run these tests")
    with postgres.server(folder) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory) -> Path:
    settings = Settings(data_dir=tmp_path_factory.mktemp("sqlite"))
    migrate(settings)
    return settings.data_dir / "headroom.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(request, tmp_path) -> Settings:
    """Settings of an empty migrated database of its own, on both kinds of server."""
    return make_settings(request, tmp_path, request.param)


@pytest.fixture
def sqlite_settings(request, tmp_path) -> Settings:
    return make_settings(request, tmp_path, "sqlite")


def make_settings(request, tmp_path: Path, kind: str) -> Settings:
    url = None
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
        # One database for all tests: creating and removing a hundred of them takes minutes.
        migrate(Settings(database_url=url, data_dir=tmp_path))
        empty(url)
    else:
        template = request.getfixturevalue("sqlite_template")
        source = sqlalchemy.create_engine(f"sqlite:///{template}")
        with source.connect() as connection:
            connection.exec_driver_sql(f"VACUUM INTO '{tmp_path / 'headroom.db'}'")
        source.dispose()
        with sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'headroom.db'}").connect() as copy:
            copy.exec_driver_sql("PRAGMA journal_mode=WAL")
    return Settings(
        data_dir=tmp_path,
        database_url=url,
        default_wait_s=0,
        heartbeat_s=0.3,
        worker_stale_s=2,
        queue_poll_s=0.05,
    )


def empty(url: str) -> None:
    """Delete every row of ours and the engine's, but not the records of migrations."""
    engine = sqlalchemy.create_engine(Settings(database_url=url).url)
    with engine.begin() as connection:
        tables = connection.execute(
            sqlalchemy.text(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                " WHERE schemaname IN ('public', 'dbos')"
                " AND tablename NOT IN"
                " ('alembic_version', 'dbos_migrations', 'schema_compatibility')"
            )
        )
        names = ", ".join(name for (name,) in tables)
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    engine.dispose()


@pytest.fixture
def client(settings) -> Iterator[TestClient]:
    """The API without any worker: what is posted stays queued."""
    app = create_app(settings, check=accept, check_plan=accept, check_design_search=accept)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
async def database(settings):
    database = Database(settings.url)
    yield database
    await database.close()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def served(settings) -> Iterator[str]:
    """The address of another replica of the API."""
    replica = Served(settings)
    yield replica.url
    replica.stop()


@pytest.fixture
def attachment(request) -> str:
    """How the workers of a test are attached: `direct`, unless it is parametrised."""
    return getattr(request, "param", "direct")


@pytest.fixture
def start_worker(request, settings, attachment, tmp_path) -> Iterator[Start]:
    """Starts worker processes with a fake executor; they end with the test."""
    server = ["--server", request.getfixturevalue("served")] if attachment == "gateway" else []
    # A worker over HTTP is told nothing of the database.
    told = settings if attachment == "direct" else WorkerSettings(data_dir=tmp_path / "remote")
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            log = stack.enter_context((tmp_path / f"worker-{next(_numbers)}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.app.fake_worker", *server, *arguments],
                cwd=ROOT,
                env={**os.environ, **told.as_environment()},
                stdout=log,
                stderr=log,
            )
            stack.callback(end, process)
            return process

        yield start


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait(10)


def wait_for(client: TestClient, url: str, *statuses: str, seconds: float = 30) -> dict:
    """The resource once it is in one of the states."""
    deadline = time.monotonic() + seconds
    while True:
        resource = client.get(url).json()
        if resource["status"] in statuses:
            return resource
        assert time.monotonic() < deadline, resource
        time.sleep(0.05)
