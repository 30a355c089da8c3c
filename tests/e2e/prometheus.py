"""A real Prometheus for tests, with the repository's configuration."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.app.telemetry.dashboards import ALERTS

CONFIGURATION = ALERTS.with_name("prometheus.yml")


@contextmanager
def prometheus(folder: Path, target: str, key: str) -> Iterator[httpx2.Client]:
    """Scrapes the target every second with the key while the block lasts; a client of its API."""
    configuration = yaml.safe_load(CONFIGURATION.read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = configuration["scrape_configs"]
    (folder / "headroom.key").write_text(f"{key}\n")
    job["authorization"]["credentials_file"] = str(folder / "headroom.key")
    job["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    shutil.copy(ALERTS, folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address={address}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        with httpx2.Client(base_url=f"http://{address}/api/v1", timeout=30) as client:
            yield client
    finally:
        process.kill()
        process.wait(10)


def query(client: httpx2.Client, expression: str) -> list[dict[str, Any]]:
    """The series that a query finds now.

    Raises:
        AssertionError: it is no valid query.
    """
    answer = client.get("/query", params={"query": expression}).json()
    assert answer["status"] == "success", (expression, answer)
    return answer["data"]["result"]


def wait_for_scrapes(client: httpx2.Client, count: int, seconds: float = 90) -> None:
    """Until so many scrapes succeeded."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = query(client, 'sum_over_time(up{job="headroom"}[5m])')
        except httpx2.TransportError:
            found = []
        if found and float(found[0]["value"][1]) >= count:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
