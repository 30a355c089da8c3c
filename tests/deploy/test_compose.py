from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from planner.quantities import parse_bytes

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_memory_limit_and_no_way_to_more_rights(name):
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", ["migrate", "api", "worker", "gpu-worker"])
def test_ours_write_to_their_data_folder_and_tmp_only(name):
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["tmpfs"] == ["/tmp"]


def test_variables_are_settings():
    variables = {name for s in SERVICES.values() for name in s.get("environment", {})}
    ours = {name.removeprefix("HEADROOM_") for name in variables if name.startswith("HEADROOM_")}
    assert ours <= {name.upper() for name in Settings.model_fields}


def test_a_job_is_out_of_memory_before_its_worker_is():
    worker = SERVICES["worker"]
    limit = parse_bytes(worker["deploy"]["resources"]["limits"]["memory"].replace("g", "GiB"))
    for name in ("HEADROOM_SIMULATION_MEMORY_BYTES", "HEADROOM_RUN_MEMORY_BYTES"):
        assert parse_bytes(worker["environment"][name]) < limit


def test_nothing_is_offered_beyond_this_host():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_asks_the_api_with_the_key_that_it_is_given():
    (job,) = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    ((target,),) = (config["targets"] for config in job["static_configs"])
    name, port = target.split(":")
    assert SERVICES[name]["ports"][0].endswith(f":{port}")
    (secret,) = SERVICES["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
