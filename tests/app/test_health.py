from __future__ import annotations

import time

import alembic.command
import pytest
import sqlalchemy

from app.database import alembic_config
from app.engine.attachment import attach
from app.engine.machine import describe_worker
from tests.app.fakes import body


async def test_ready_with_and_without_workers(client, database):
    while "starting" in client.get("/readyz").text:
        time.sleep(0.02)
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = {"status": "ready", "database": "ok", "engine": "ok", "workers_online": 0}
    assert client.get("/readyz").json() == ready
    await attach(database, "w", describe_worker(None, None))
    assert client.get("/readyz").json() == {**ready, "workers_online": 1}


def test_not_ready_behind_the_schema(client, settings):
    engine = sqlalchemy.create_engine(settings.url)
    with engine.begin() as connection:
        alembic.command.downgrade(alembic_config(connection), "base")
    engine.dispose()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["type"] == "not-ready"
    assert "headroom db upgrade" in response.json()["detail"]
    assert client.get("/healthz").status_code == 200


async def test_metrics_count_jobs_workers_and_requests(client, database):
    client.post("/v1/simulations", json=body())
    await attach(database, "w", describe_worker(None, None))
    lines = client.get("/metrics").text.splitlines()
    assert 'headroom_jobs{kind="simulation",status="queued"} 1.0' in lines
    assert 'headroom_workers{state="online"} 1.0' in lines
    assert any(line.startswith('http_requests_total{handler="/v1/simulations"') for line in lines)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_catalogue_lists_what_can_be_asked(client):
    models = client.get("/v1/models").json()
    assert "gpt2" in models["model_types"]["text-generation"]
    assert "text-generation" in [task["name"] for task in models["tasks"]]
    assert "linformer" in [kind["kind"] for kind in models["architecture"]["attention"]]
    assert client.get("/v1/techniques").status_code == 200
