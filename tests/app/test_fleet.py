"""One worker a card: which are started, how, and that they are looked after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from app import fleet
from app.cli.application import application
from app.engine import machine, worker
from app.errors import DeviceUnusable
from app.fleet import REMOTE_WORKER, WORKER, worker_commands
from app.remote import worker as remote
from app.remote.address import Address
from profiler import nvml
from profiler.outcome import Outcome
from tests.app.conftest import ROOT, wait_for
from tests.app.fakes import body
from tests.profiler.fake_nvml import Card, FakeNvml

CARDS = (Card("GPU-a"), Card("GPU-b", "NVIDIA Abacus"))


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(nvml, "pynvml", FakeNvml(*CARDS))


def option(command, name):
    return [command[at + 1] for at, word in enumerate(command) if word == name]


class TestCommands:
    def test_each_card_gets_a_worker_of_its_own(self, driver):
        commands = worker_commands(nvml.gpus(), {"room": "a b"}, None, None)
        assert [option(command, "--gpu") for command in commands] == [["GPU-a"], ["GPU-b"]]
        for command in commands:
            assert command[:3] == list(WORKER)
            assert option(command, "--label") == ["room=a b"]
            assert option(command, "--parent-pid") == [str(os.getpid())]
            assert not option(command, "--id")
            assert not {"--simulate", "--no-simulate"} & set(command)

    def test_an_id_is_numbered_only_where_it_would_be_that_of_several(self, driver):
        both = worker_commands(nvml.gpus(), {}, "w", True)
        assert [option(command, "--id") for command in both] == [["w-0"], ["w-1"]]
        assert all("--simulate" in command for command in both)
        (one,) = worker_commands(nvml.gpus()[:1], {}, "w", False)
        assert option(one, "--id") == ["w"]
        assert "--no-simulate" in one

    def test_a_worker_understands_them(self, driver, monkeypatch):
        from app.engine import __main__

        taken = {}
        monkeypatch.setattr(worker, "main", lambda **given: taken.update(given))
        command = worker_commands(nvml.gpus(), {"room": "a=b"}, "w", True)[1]
        monkeypatch.setattr(sys, "argv", ["app.engine", *command[len(WORKER) :]])
        __main__._main()
        assert taken == {
            "worker_id": "w-1",
            "parent_pid": os.getpid(),
            "gpu": "GPU-b",
            "labels": {"room": "a=b"},
            "simulates": True,
        }


class TestHeadroomWorker:
    @pytest.fixture
    def started(self, monkeypatch):
        calls = []
        monkeypatch.setattr(fleet, "run_fleet", lambda settings, commands: calls.extend(commands))
        monkeypatch.setattr(worker, "main", lambda settings, **given: calls.append(given))
        return calls

    def run(self, *arguments):
        return CliRunner().invoke(application, ["worker", *arguments])

    def test_with_cards_it_starts_one_worker_each(self, driver, started):
        assert self.run("--label", "room=east").exit_code == 0
        assert [option(command, "--gpu") for command in started] == [["GPU-a"], ["GPU-b"]]

    def test_only_those_that_the_environment_leaves(self, driver, started, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert self.run().exit_code == 0
        assert [option(command, "--gpu") for command in started] == [["GPU-b"]]

    def test_a_label_leaves_the_cards_alone(self, driver, started):
        assert self.run("--label", "device=cpu", "--id", "w").exit_code == 0
        assert started == [{"labels": {"device": "cpu"}, "worker_id": "w", "simulates": None}]

    def test_without_a_driver_it_is_a_cpu_worker(self, started, monkeypatch):
        monkeypatch.setattr(nvml, "pynvml", None)
        assert self.run().exit_code == 0
        assert started == [{"labels": {}, "worker_id": None, "simulates": None}]

    def test_a_gpu_that_is_not_there_is_refused(self, started, monkeypatch):
        monkeypatch.setattr(nvml, "pynvml", None)
        refused = self.run("--label", "device=cuda")
        assert refused.exception is not None
        assert "no GPU" in str(refused.exception)
        assert started == []


class TestOverHttp:
    URL = "https://headroom.example"

    @pytest.fixture
    def started(self, monkeypatch):
        calls = []
        monkeypatch.setattr(fleet, "run_fleet", lambda settings, commands: calls.extend(commands))
        monkeypatch.setattr(remote, "main", lambda *given, **named: calls.append((given, named)))
        return calls

    def run(self, *arguments):
        return CliRunner().invoke(application, ["worker", *arguments])

    def test_each_card_gets_a_worker_that_is_told_where_the_service_is(
        self, driver, started, tmp_path
    ):
        (tmp_path / "token").write_text("hr_secret")
        given = ["--server", self.URL, "--token-file", str(tmp_path / "token"), "--label", "a=b"]
        assert self.run(*given).exit_code == 0
        assert [option(command, "--gpu") for command in started] == [["GPU-a"], ["GPU-b"]]
        for command in started:
            assert command[:3] == list(REMOTE_WORKER)
            assert option(command, "--server") == [self.URL]
            assert option(command, "--token-file") == [str(tmp_path / "token")]
            assert "hr_secret" not in command

    def test_a_worker_understands_them(self, driver, started, monkeypatch):
        from app.remote import __main__

        self.run("--server", self.URL, "--id", "w", "--simulate")
        monkeypatch.setattr(sys, "argv", ["app.remote", *started[1][len(REMOTE_WORKER) :]])
        __main__._main()
        given, named = started[-1]
        assert given == (Address(self.URL),)
        assert named == {
            "worker_id": "w-1",
            "parent_pid": os.getpid(),
            "gpu": "GPU-b",
            "labels": {},
            "simulates": True,
        }

    def test_without_a_card_it_works_in_this_process(self, started, monkeypatch):
        monkeypatch.setattr(nvml, "pynvml", None)
        assert self.run("--server", self.URL).exit_code == 0
        ((given, named),) = started
        assert given[0] == Address(self.URL)
        assert named == {"labels": {}, "worker_id": None, "simulates": None}

    def test_what_belongs_to_it_is_refused_without_it(self, started, monkeypatch):
        monkeypatch.setattr(nvml, "pynvml", None)
        assert "--server" in str(self.run("--allow-http").exception)
        assert "in the clear" in str(self.run("--server", "http://far.example").exception)
        assert started == []


class TestOneCard:
    def test_a_worker_sees_its_own_only(self, driver, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all")
        assert machine.only_card("GPU-b").name == "NVIDIA Abacus"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"

    def test_a_card_that_the_driver_does_not_know(self, driver):
        with pytest.raises(DeviceUnusable, match="GPU-c"):
            machine.only_card("GPU-c")

    async def test_what_its_context_takes_becomes_part_of_what_it_is(self):
        found = {"context_bytes": 400, "bare_bytes": 300, "cuda": "13.0", "notes": ["n"]}
        assert await machine.measured_context(Contexts(Outcome("succeeded", found))) == {
            "context_bytes": 400,
            "context_notes": ["n"],
            "cuda": "13.0",
        }

    async def test_a_card_that_torch_cannot_use_is_no_worker(self):
        problem = {"detail": "Torch not compiled with CUDA enabled"}
        with pytest.raises(DeviceUnusable, match=r"not compiled.*device=cpu"):
            await machine.measured_context(Contexts(Outcome("failed", problem=problem)))


class Contexts:
    """Stands in for the executor: measuring ended so."""

    def __init__(self, outcome):
        self.outcome = outcome

    async def context(self):
        return self.outcome


DRIVER = """
from tests.profiler.fake_nvml import Card, FakeNvml
_driver = FakeNvml(Card("GPU-a"), Card("GPU-b"))
def __getattr__(name):
    return getattr(_driver, name)
"""


@pytest.fixture
def driver_of_processes(monkeypatch, tmp_path):
    """A stand-in for the driver's library that processes started from here import, too."""
    (tmp_path / "pynvml.py").write_text(DRIVER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
class TestProcesses:
    def test_a_worker_on_a_card_attaches_as_what_it_is_and_simulates_nothing(
        self, client, start_worker, driver_of_processes
    ):
        start_worker("--id", "cpu", "--label", "device=cpu")
        start_worker("--id", "gpu", "--gpu", "GPU-b")
        simulation = client.post("/v1/simulations", json=body()).json()["id"]
        wait_for(client, f"/v1/simulations/{simulation}", "succeeded")
        deadline = time.monotonic() + 30
        while "gpu" not in {each["id"] for each in client.get("/v1/workers").json()["items"]}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (worker,) = (
            each for each in client.get("/v1/workers").json()["items"] if each["id"] == "gpu"
        )
        assert worker["device"]["uuid"] == "GPU-b"
        assert worker["labels"]["profile"] == "h100-80gb"
        assert not worker["simulates"]

    def test_a_card_that_this_torch_cannot_use_ends_its_worker_with_the_reason(
        self, settings, driver_of_processes
    ):
        """All of it is real but the driver: torch here has no CUDA, or sees no such card."""
        ended = subprocess.run(
            [*WORKER, "--gpu", "GPU-a"],
            cwd=ROOT,
            env={**os.environ, **settings.as_environment()},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 1
        assert "DeviceUnusable" in ended.stderr
        assert "device=cpu" in ended.stderr


def test_a_fleet_restarts_a_worker_that_ends_and_takes_all_down_with_it(tmp_path):
    """Real processes; the workers are shells that write down their lives."""
    script = (
        "from app.fleet import run_fleet; from app.settings import Settings\n"
        "run_fleet(Settings(), [['sh', '-c', 'echo $$ >> once'], ['sh', '-c', "
        "'echo $$ >> stays; exec sleep 60']])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HEADROOM_DATA_DIR": str(tmp_path)},
    )
    try:
        once, stays = tmp_path / "once", tmp_path / "stays"
        deadline = time.monotonic() + 60
        while not (stays.exists() and once.exists() and len(once.read_text().split()) > 1):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (pid,) = stays.read_text().split()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    finally:
        process.kill()
        process.wait()
