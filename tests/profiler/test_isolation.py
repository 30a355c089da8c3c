"""What a child can and cannot do, tried by a child."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from profiler import isolation
from profiler.executor import Executor
from profiler.isolation import IsolationUnavailable, files, system_calls
from profiler.isolation.probe import probe
from profiler.limits import Limits
from profiler.memory_watch import members_of_group

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = Limits(wall_seconds=60, memory_bytes=2**30)
JOBS = {
    name: f"child_attacks:{name}"
    for name in ("attack", "work", "environment", "forks", "shared", "hoard")
}
CPU = {"device": {"kind": "cpu"}}


@asynccontextmanager
async def executor_of_attacks(scratch, **options):
    async with Executor(jobs=JOBS, preload=(), scratch=scratch, **options) as executor:
        yield executor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(tmp_path_factory):
    async with executor_of_attacks(tmp_path_factory.mktemp("attacks")) as started:
        yield started


@pytest.fixture(scope="module")
def in_force():
    return probe("auto")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def errors(executor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "secret").write_text("secret")
    places = {"secret": str(folder / "secret"), "outside": str(folder / "outside")}
    outcome = await executor.execute("attack", {**CPU, **places}, limits=QUICK)
    assert outcome.status == "succeeded", outcome
    assert sorted(path.name for path in folder.iterdir()) == ["secret"]
    return outcome.result["errors"]


OF_FILES = [
    *("read a secret file", "read shadow", "list a folder", "write outside"),
    *("make a folder outside", "remove outside", "link a secret here"),
    *("write into the installation", "parent's environment", "parent's memory", "parent's files"),
]
OF_SYSTEM_CALLS = [
    *("internet socket", "ipv6 socket", "packet socket", "unix socket", "download"),
    *("start a program", "limit the parent", "trace the parent", "new namespaces", "mount"),
    *("outlive the group", "a session of its own", "outlive the parent"),
]


class TestAttacks:
    @pytest.mark.parametrize("attempt", OF_FILES)
    async def test_files_beyond_the_scratch_folder(self, errors, in_force, attempt):
        if in_force.files is None:
            pytest.skip("NOT CHECKED: this kernel has no Landlock")
        assert errors[attempt] is not None

    @pytest.mark.parametrize("attempt", OF_SYSTEM_CALLS)
    async def test_system_calls(self, errors, in_force, attempt):
        if in_force.system_calls is None:
            pytest.skip("NOT CHECKED: this kernel has no seccomp")
        assert errors[attempt] is not None

    async def test_signals_to_others(self, errors):
        if files.landlock_version() < 6:
            pytest.skip("NOT CHECKED: this kernel's Landlock does not know of signals")
        assert errors["kill the parent"] == "Operation not permitted"

    async def test_another_user(self, errors):
        assert errors["become another user"] is not None


async def test_what_a_job_needs_it_has(executor):
    outcome = await executor.execute("work", CPU, limits=QUICK)
    assert outcome.result == {"done": ["thread", "x", "x"]}


async def test_a_job_on_a_card_may_talk_to_its_driver(executor, tmp_path, in_force):
    places = {"secret": str(tmp_path / "none"), "outside": str(tmp_path / "outside")}
    payload = {"device": {"kind": "cuda"}, **places}
    found = (await executor.execute("attack", payload, limits=QUICK)).result["errors"]
    assert found["unix socket"] is None
    if in_force.system_calls is not None:
        assert found["internet socket"] == "Operation not permitted"


async def test_no_variable_reaches_a_child_that_is_not_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_VENDORS_TOKEN", "hidden")
    monkeypatch.setenv("HEADROOM_API_KEY", "hidden")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    async with executor_of_attacks(tmp_path) as executor:
        found = (await executor.execute("environment", CPU, limits=QUICK)).result["environment"]
    assert "hidden" not in json.dumps(found)
    assert found["OMP_NUM_THREADS"] == "2"
    assert found["HF_HUB_OFFLINE"] == found["TRANSFORMERS_OFFLINE"] == "1"
    assert found["TMPDIR"].startswith(str(tmp_path))


class TestModes:
    async def test_off_takes_no_layer(self, tmp_path):
        assert probe("off").missing == ["network", "files", "system_calls"]
        places = {"secret": str(tmp_path / "none"), "outside": str(tmp_path / "outside")}
        async with executor_of_attacks(tmp_path, isolation="off") as executor:
            found = await executor.execute("attack", {**CPU, **places}, limits=QUICK)
        assert found.exit.code == 0, "it could start a program"

    async def test_required_refuses_where_a_layer_is_missing(self, tmp_path, monkeypatch):
        monkeypatch.setattr(system_calls, "_MACHINES", {})
        monkeypatch.setattr(files, "landlock_version", lambda: 0)
        monkeypatch.setattr(isolation, "leave_network", lambda: False)
        monkeypatch.setattr(isolation, "die_with_parent", lambda parent: None)
        monkeypatch.setattr(isolation.processes, "drop_capabilities", lambda: None)
        monkeypatch.setattr(isolation.processes, "prefer_for_oom_kill", lambda: None)
        monkeypatch.setenv("TMPDIR", os.environ.get("TMPDIR", "/tmp"))
        monkeypatch.setattr("tempfile.tempdir", None)
        with pytest.raises(IsolationUnavailable, match="network, files, system_calls"):
            isolation.shut_in(tmp_path, os.getppid(), "required", card=False)

    async def test_required_works_where_nothing_is_missing(self, tmp_path, in_force):
        if in_force.missing:
            pytest.skip(f"NOT CHECKED: this kernel has no isolation of {in_force.missing}")
        assert probe("required") == in_force
        async with executor_of_attacks(tmp_path, isolation="required") as executor:
            assert (await executor.execute("work", CPU, limits=QUICK)).status == "succeeded"


async def test_a_process_with_credentials_can_hide_them():
    code = """
import ctypes
from profiler.isolation import hide_memory
before = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE
hide_memory()
print(before, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "0"]


async def test_of_the_folder_that_a_service_is_started_in_only_its_code_can_be_read(tmp_path):
    code = "from profiler.isolation.files import readable as r; print(*r(), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    listed = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert str(tmp_path) not in listed
    assert any(path.endswith("/profiler") for path in listed)
    assert "/" not in listed
    assert "/etc" not in listed


@pytest.mark.parametrize("machine", system_calls._MACHINES.values(), ids=system_calls._MACHINES)
async def test_the_filter_of_each_machine_answers_each_call(machine):
    """Interpreted here, since a kernel runs only its own machine's."""
    program = list(system_calls._filter(machine, unix_sockets=True))
    column = machine.column

    def answer(number, argument=0, audit=machine.audit):
        data = {0: number, 4: audit, 16: argument}
        position, loaded = 0, 0
        while True:
            step = program[position]
            position += 1
            if step.code == system_calls._RETURN:
                return step.operand
            if step.code == system_calls._LOAD:
                loaded = data[step.operand]
                continue
            holds = {
                system_calls._EQUAL: loaded == step.operand,
                system_calls._AT_LEAST: loaded >= step.operand,
                system_calls._ANY_BIT: bool(loaded & step.operand),
            }[step.code]
            position += step.if_true if holds else step.if_false

    refuse, allow = system_calls._REFUSE, system_calls._ALLOW
    assert answer(0, audit=1) == system_calls._KILL_PROCESS
    for name, numbers in system_calls._REFUSED.items():
        assert answer(numbers[column]) == refuse, name
    assert answer(system_calls._CLONE[column], 0x10000000) == refuse
    assert answer(system_calls._CLONE[column], 0x3D0F00) == allow, "as a thread is made"
    assert answer(system_calls._CLONE3[column]) == system_calls._ABSENT
    assert answer(system_calls._SOCKET[column], 2) == refuse
    assert answer(system_calls._SOCKET[column], 1) == allow
    assert answer(system_calls._PRCTL[column], 1) == refuse
    assert answer(system_calls._PRCTL[column], 15) == allow
    assert answer(system_calls._PRLIMIT[column], 0) == allow
    assert answer(system_calls._PRLIMIT[column], 77) == refuse
    assert all(answer(number) == allow for number in (63, 64))  # read and write, or uname
    if column == 0:
        assert answer(0x40000000 | 59) == refuse


class TestForks:
    async def test_a_child_that_forks_for_ever_ends_with_all_its_forks(self, executor):
        heard = []
        outcome = await executor.execute("forks", CPU, limits=QUICK, on_progress=heard.append)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "limit-exceeded"
        assert "processes" in outcome.problem["detail"]
        async with asyncio.timeout(30):
            while members_of_group(heard[0]["pid"]):
                await asyncio.sleep(0.05)

    async def test_memory_of_forks_counts_once_for_all_that_share_it(self, executor):
        limits = Limits(wall_seconds=60, memory_bytes=2**26)
        share = {**CPU, "mebibytes": 400, "forks": 6}
        outcome = await executor.execute("shared", share, limits=limits)
        assert outcome.status == "succeeded", outcome
        # Each is under the limit of a process (576 MiB); together they are not.
        outcome = await executor.execute("hoard", {**share, "forks": 4}, limits=limits)
        assert outcome.problem["type"] == "limit-exceeded"
        assert "memory" in outcome.problem["detail"]
