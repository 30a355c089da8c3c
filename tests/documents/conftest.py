"""The API as it is, with nobody to do the work."""

from __future__ import annotations

import time

import pytest
from starlette.testclient import TestClient

from app.database import migrate
from app.main import create_app
from app.settings import Settings


@pytest.fixture(scope="package")
def api(tmp_path_factory):
    """What is posted to it is checked and stays queued."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("documents"), default_wait_s=0)
    migrate(settings)
    with TestClient(create_app(settings)) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.05)
        yield client
