"""The command as the shell sees it: exit codes, standard output and standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from headroom_client import Client

TINY = ["--model-type", "gpt2", "--set", "n_layer=1", "--set", "n_embd=32", "--set", "n_head=2"]
TINY += ["--set", "vocab_size=100", "-b", "1", "-s", "8"]


def headroom(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )


class TestAgainstAService:
    def test_simulate_prints_the_resource_as_json_and_stores_it(self, service):
        finished = headroom("simulate", *TINY, "--json", HEADROOM_SERVER=service.url)
        assert finished.returncode == 0, finished.stderr
        simulation = json.loads(finished.stdout)
        assert service.get(f"/v1/simulations/{simulation['id']}")["status"] == "succeeded"

    def test_what_does_not_fit_ends_with_3(self, service):
        finished = headroom("simulate", *TINY, "--memory", "1KiB", HEADROOM_SERVER=service.url)
        assert finished.returncode == 3
        assert "Does not fit" in finished.stdout

    def test_sweep_predicts_every_combination_and_stores_it(self, service):
        axes = ["--vary", "batch_size=1,2", "--vary", "checkpointing=none,full"]
        finished = headroom("sweep", *TINY, *axes, "--json", HEADROOM_SERVER=service.url)
        assert finished.returncode == 0, finished.stderr
        sweep = json.loads(finished.stdout)
        assert [point["status"] for point in sweep["points"]] == ["succeeded"] * 4
        assert service.get(f"/v1/sweeps/{sweep['id']}")["counts"]["succeeded"] == 4
        listed = headroom("sweeps", HEADROOM_SERVER=service.url)
        assert sweep["id"] in listed.stdout
        shown = headroom("sweeps", sweep["id"], HEADROOM_SERVER=service.url)
        assert shown.stdout.count("MiB") == 4, shown.stdout

    def test_a_device_with_too_little_memory_ends_with_3(self, service):
        profile = {"name": "tiny-cpu", "kind": "cpu", "memory_bytes": 1024}
        with Client(service.url) as client:
            client.create_device(profile)
        finished = headroom("simulate", *TINY, "-d", "tiny-cpu", HEADROOM_SERVER=service.url)
        assert finished.returncode == 3, finished.stderr

    def test_run_prints_predicted_beside_measured_and_is_listed(self, service):
        finished = headroom("run", *TINY, "--json", HEADROOM_SERVER=service.url)
        assert finished.returncode == 0, finished.stderr
        run = json.loads(finished.stdout)
        assert run["measured"]["peak_bytes"] > 0
        listed = headroom("runs", HEADROOM_SERVER=service.url, COLUMNS="200")
        assert run["id"] in listed.stdout
        shown = headroom("runs", run["id"], HEADROOM_SERVER=service.url)
        assert f"{run['measured']['peak_bytes']:,}" in shown.stdout

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            (["models"], "text-generation"),
            (["models", "fill-mask"], "bert"),
            (["devices"], "cpu"),
            (["devices", "h100-80gb"], "sm_90"),
            (["workers"], "online"),
            (["simulations"], "Status"),
        ],
    )
    def test_what_the_service_has_is_listed(self, service, command, expected):
        headroom("simulate", *TINY, HEADROOM_SERVER=service.url)
        finished = headroom(*command, HEADROOM_SERVER=service.url, COLUMNS="200")
        assert finished.returncode == 0, finished.stderr
        assert expected in finished.stdout

    def test_a_wrong_request_ends_with_2_and_names_the_field(self, service):
        finished = headroom("simulate", *TINY, "-b", "0", HEADROOM_SERVER=service.url)
        assert finished.returncode == 2
        assert "/workload/batch_size" in finished.stderr

    def test_an_unknown_id_ends_with_2(self, service):
        finished = headroom("runs", "run_unknown", "--json", HEADROOM_SERVER=service.url)
        assert finished.returncode == 2
        assert json.loads(finished.stderr)["status"] == 404

    def test_an_unknown_task_ends_with_2(self, service):
        finished = headroom("models", "juggling", HEADROOM_SERVER=service.url)
        assert finished.returncode == 2


class TestWithoutAService:
    def test_local_simulation_and_run(self):
        finished = headroom("run", *TINY, "--local", "--json")
        assert finished.returncode == 0, finished.stderr
        run = json.loads(finished.stdout)
        assert abs(run["relative_error"]) < 0.01
        assert run["phases"][0]["predicted_peak_bytes"] > 0

    def test_a_local_sweep_says_what_does_not_fit(self):
        finished = headroom(
            "sweep", *TINY, "--vary", "batch_size=1,64", "--local", "--memory", "3MiB"
        )
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.count("!") == 1

    def test_local_refuses_a_wrong_request_with_2(self):
        finished = headroom("simulate", *TINY, "--set", "n_head=7", "--local")
        assert finished.returncode == 2
        assert "/model/config" in finished.stderr

    def test_no_service_ends_with_1_and_says_what_to_do(self):
        finished = headroom("devices", "--server", "http://127.0.0.1:1")
        assert finished.returncode == 1
        assert "headroom serve" in finished.stderr

    def test_a_wrong_setting_is_named(self, tmp_path):
        finished = headroom("db", "upgrade", HEADROOM_DATABASE_URL="mysql://x/y")
        assert finished.returncode == 2
        assert "HEADROOM_DATABASE_URL" in finished.stderr

    def test_db_upgrade_makes_a_database_and_may_be_repeated(self, tmp_path):
        for _ in range(2):
            finished = headroom("db", "upgrade", HEADROOM_DATA_DIR=str(tmp_path / "data"))
            assert finished.returncode == 0, finished.stderr
        assert (tmp_path / "data" / "headroom.db").exists()

    def test_no_command_is_usage_and_prints_help(self):
        assert headroom().returncode == 2

    def test_version_names_what_decides_a_prediction(self):
        finished = headroom("--version")
        assert finished.returncode == 0
        assert "torch 2." in finished.stdout
