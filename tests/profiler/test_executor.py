"""The executor against children that misbehave: each end is an outcome, nothing stays behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from child_executor import executor_of_child_jobs

from profiler.executor import Executor
from profiler.limits import Limits

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = Limits(wall_seconds=30, memory_bytes=2**30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(tmp_path_factory):
    """One for all tests: it has to get over whatever each of them does to it."""
    async with executor_of_child_jobs(tmp_path_factory.mktemp("executor")) as started:
        yield started


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def gone(pid, seconds=1.0):
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


async def started(executor, kind, payload=None, limits=QUICK):
    """The task of a job that sleeps, and the first progress that it sent."""
    first = asyncio.get_running_loop().create_future()

    def hear(message):
        if not first.done():
            first.set_result(message)

    task = asyncio.create_task(
        executor.execute(kind, payload or {}, limits=limits, on_progress=hear)
    )
    return task, await asyncio.wait_for(first, 20)


class TestSuccess:
    async def test_a_result_comes_back_with_its_artifacts(self, executor):
        payload = {"text": "ä \u0000 😀", "number": 2**60, "nested": [1, {"a": None}]}
        outcome = await executor.execute("echo", payload, limits=QUICK)
        assert outcome.status == "succeeded"
        assert outcome.problem is None
        assert outcome.result["payload"] == payload
        assert outcome.artifacts == {"blob": bytes(range(256)) * 4096}
        assert outcome.exit.code == 0
        assert outcome.exit.signal is None
        assert outcome.exit.peak_rss_bytes > 2**20

    async def test_the_child_is_shut_in(self, executor, monkeypatch):
        found = (await executor.execute("facts", {}, limits=QUICK)).result
        assert found["session"] == found["pid"]
        assert found["core"] == 0
        assert 0 < found["file"] <= 2**30
        soft, hard = found["cpu"]
        assert QUICK.wall_seconds <= soft < hard
        assert found["oom_score_adj"] == 1000
        assert found["environment"]["HF_HUB_OFFLINE"] == "1"
        assert found["environment"]["TRANSFORMERS_OFFLINE"] == "1"
        assert found["stdout_is_log"] == f"{found['cwd']}/log"
        assert not Path(found["cwd"]).exists(), "the scratch folder is removed"

    async def test_there_is_no_network_where_the_platform_allows_that(self, executor):
        found = (await executor.execute("facts", {}, limits=QUICK)).result
        probe = "from profiler.isolation.network import leave_network; exit(not leave_network())"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        if subprocess.run([sys.executable, "-c", probe], env=environment).returncode:
            pytest.skip("NOT CHECKED: this platform lets nobody leave the network")
        assert found["interfaces"] == ["lo"]

    async def test_credentials_of_the_service_do_not_reach_the_child(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HEADROOM_DATABASE_URL", "postgresql://user:secret@host/db")
        monkeypatch.setenv("PGPASSWORD", "secret")
        monkeypatch.setenv("HF_TOKEN", "secret")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")
        async with executor_of_child_jobs(tmp_path) as executor:
            found = (await executor.execute("facts", {}, limits=QUICK)).result
        assert "secret" not in json.dumps(found["environment"])

    async def test_threads_work_in_a_child(self, executor):
        for _ in range(2):
            outcome = await executor.execute("compute", {}, limits=QUICK)
            assert outcome.result["finite"] is True

    async def test_phases_stream_and_other_progress_is_thinned(self, executor):
        heard = []
        outcome = await executor.execute("phases", {}, limits=QUICK, on_progress=heard.append)
        assert outcome.status == "succeeded"
        phases = [message["phase"] for message in heard if "phase" in message]
        assert phases == ["step0.forward", "step0.backward", "step1.forward"]
        assert len(heard) < 50
        assert outcome.exit.phase == "step1.forward"

    async def test_progress_may_be_awaited(self, executor):
        heard = []

        async def hear(message):
            await asyncio.sleep(0)
            heard.append(message)

        await executor.execute("phases", {}, limits=QUICK, on_progress=hear)
        assert heard[0] == {"phase": "step0.forward"}

    async def test_several_jobs_run_at_the_same_time(self, executor):
        (first, one), (second, two) = [
            await started(executor, "sleep", {"seconds": 0.5}) for _ in range(2)
        ]
        assert one["pid"] != two["pid"]
        assert alive(one["pid"])
        assert alive(two["pid"])
        outcomes = await asyncio.gather(first, second)
        assert [outcome.status for outcome in outcomes] == ["succeeded"] * 2

    async def test_an_unknown_kind_is_an_error_of_the_caller(self, executor):
        with pytest.raises(KeyError):
            await executor.execute("no-such-kind", {})


class TestFailure:
    async def test_a_domain_error_arrives_as_its_problem(self, executor):
        outcome = await executor.execute("refuse", {}, limits=QUICK)
        assert outcome.status == "failed"
        assert outcome.result is None
        assert outcome.problem["type"] == "step-failed"
        assert outcome.problem["detail"] == "shapes differ"
        assert outcome.problem["pointer"] == "/workload"
        assert outcome.exit.phase == "step0.forward"

    async def test_a_bug_is_told_by_its_name_and_logged(self, executor):
        outcome = await executor.execute("bug", {}, limits=QUICK)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "internal-error"
        assert outcome.problem["detail"] == "ZeroDivisionError: a mistake of ours"
        assert "Traceback" in outcome.exit.log

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
    async def test_a_child_killed_by_a_signal(self, executor, number):
        outcome = await executor.execute("killed", {"signal": int(number)}, limits=QUICK)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "worker-crashed"
        assert number.name in outcome.problem["detail"]
        assert outcome.problem["phase"] == "step1.backward"
        assert outcome.exit.signal == number.name
        assert "about to go" in outcome.exit.log

    async def test_a_child_that_exits_without_an_answer(self, executor):
        outcome = await executor.execute("exits", {"code": 3}, limits=QUICK)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "worker-crashed"
        assert outcome.exit.code == 3
        assert "c10::Error" in outcome.exit.log

    @pytest.mark.parametrize(
        "kind", ["garbage", "oversized", "unknown_kind", "half_a_frame", "not_json"]
    )
    async def test_a_malformed_answer(self, executor, kind):
        begun = time.monotonic()
        outcome = await executor.execute(kind, {}, limits=QUICK)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "worker-crashed"
        assert time.monotonic() - begun < QUICK.wall_seconds, "not by its timeout"

    async def test_the_wall_clock_ends_a_child_that_does_not(self, executor):
        limits = Limits(wall_seconds=1, memory_bytes=2**30)
        heard = []
        outcome = await executor.execute("stubborn", {}, limits=limits, on_progress=heard.append)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "limit-exceeded"
        assert outcome.problem["phase"] == "sleeping"
        assert outcome.exit.signal == "SIGKILL"
        assert not alive(heard[0]["pid"])

    async def test_a_raising_listener_ends_the_child(self, executor):
        heard = []

        def hear(message):
            heard.append(message)
            raise ValueError("the listener is broken")

        with pytest.raises(ValueError, match="listener"):
            await executor.execute("sleep", {"seconds": 60}, limits=QUICK, on_progress=hear)
        assert not alive(heard[0]["pid"])


class TestMemory:
    limits = Limits(wall_seconds=60, memory_bytes=128 * 2**20)

    async def test_a_run_over_its_limit_is_out_of_memory_with_its_phase(self, executor):
        outcome = await executor.execute("run", {"mebibytes": 8192}, limits=self.limits)
        assert outcome.status == "out_of_memory"
        assert outcome.problem["type"] == "out-of-memory"
        assert outcome.problem["phase"] == "step0.forward"
        assert outcome.problem["limit_bytes"] == self.limits.memory_bytes
        # The kernel refused; nobody had to fill the host.
        assert outcome.exit.peak_rss_bytes < 2 * 2**30

    async def test_a_run_under_its_limit_is_left_alone(self, executor):
        outcome = await executor.execute("run", {"mebibytes": 128}, limits=self.limits)
        assert outcome.status == "succeeded"

    @pytest.mark.parametrize("kind", ["allocate", "allocate_and_wrap", "allocate_python"])
    async def test_other_jobs_over_their_limit_fail(self, executor, kind):
        outcome = await executor.execute(kind, {"mebibytes": 8192}, limits=self.limits)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "limit-exceeded"
        assert outcome.problem["phase"] in ("step0.forward", "build")

    async def test_memory_that_the_kernel_does_not_bound_is_watched(self, executor):
        outcome = await executor.execute("allocate_shared", {"mebibytes": 1024}, limits=self.limits)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "limit-exceeded"
        assert outcome.exit.signal == "SIGKILL"

    async def test_the_next_job_is_not_affected(self, executor):
        await executor.execute("allocate", {"mebibytes": 8192}, limits=self.limits)
        outcome = await executor.execute("echo", {}, limits=self.limits)
        assert outcome.status == "succeeded"


class TestEnds:
    async def test_cancelling_the_awaiting_task_kills_the_child(self, executor):
        task, heard = await started(executor, "stubborn")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(heard["pid"])
        assert (await executor.execute("echo", {}, limits=QUICK)).status == "succeeded"

    @pytest.mark.parametrize("delay", [0, 0.001, 0.003, 0.01, 0.03])
    async def test_a_cancellation_at_any_moment_of_the_start_counts(self, executor, delay):
        tasks = [
            asyncio.create_task(executor.execute("stubborn", {}, limits=QUICK)) for _ in range(3)
        ]
        await asyncio.sleep(delay)
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(10):
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ended] == [asyncio.CancelledError] * 3
        warm = psutil.Process((await executor.execute("facts", {}, limits=QUICK)).result["parent"])
        assert [child for child in warm.children() if alive(child.pid)] == []
        assert list(executor._scratch.iterdir()) == []

    async def test_many_jobs_leave_no_descriptor_open(self, executor):
        await executor.execute("echo", {}, limits=QUICK)
        before = psutil.Process().num_fds()
        outcomes = await asyncio.gather(
            *(executor.execute("echo", {}, limits=QUICK) for _ in range(20))
        )
        assert {outcome.status for outcome in outcomes} == {"succeeded"}
        await asyncio.sleep(0)
        assert psutil.Process().num_fds() == before

    async def test_what_the_child_started_dies_with_it(self, executor):
        task, heard = await started(executor, "sleep_with_grandchild")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await gone(heard["grandchild"])

    async def test_what_the_child_started_dies_when_the_child_crashes(self, executor):
        task, heard = await started(executor, "sleep_with_grandchild")
        os.kill(heard["pid"], signal.SIGKILL)
        assert (await task).exit.signal == "SIGKILL"
        assert await gone(heard["grandchild"])

    async def test_cancelling_one_job_leaves_the_other(self, executor):
        first, one = await started(executor, "sleep", {"seconds": 1})
        second, _ = await started(executor, "sleep", {"seconds": 60})
        second.cancel()
        assert (await first).status == "succeeded"
        assert not alive(one["pid"])

    async def test_when_the_warm_process_dies_its_jobs_fail_and_the_next_gets_another(
        self, executor
    ):
        task, heard = await started(executor, "sleep", {"seconds": 60})
        warm = psutil.Process(heard["pid"]).parent()
        assert "profiler.warm" in " ".join(warm.cmdline())
        warm.kill()
        outcome = await asyncio.wait_for(task, 10)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "worker-crashed"
        assert await gone(heard["pid"])
        outcome = await executor.execute("facts", {}, limits=QUICK)
        assert outcome.status == "succeeded"
        assert outcome.result["parent"] != warm.pid

    async def test_a_job_given_just_after_the_warm_process_died_is_done(self, executor):
        found = (await executor.execute("facts", {}, limits=QUICK)).result
        os.kill(found["parent"], signal.SIGKILL)
        outcome = await executor.execute("echo", {}, limits=QUICK)
        assert outcome.status == "succeeded"

    async def test_a_warm_process_that_hangs_is_replaced(self, executor, monkeypatch):
        monkeypatch.setattr("profiler.executor._END_SECONDS", 1.0)
        task, heard = await started(executor, "sleep", {"seconds": 60})
        psutil.Process(heard["pid"]).parent().suspend()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 20)
        assert await gone(heard["pid"])
        assert (await executor.execute("echo", {}, limits=QUICK)).status == "succeeded"

    async def test_stop_kills_everything_and_removes_the_scratch(self, tmp_path):
        async with executor_of_child_jobs(tmp_path) as executor:
            task, heard = await started(executor, "stubborn")
            warm = psutil.Process(heard["pid"]).ppid()
        assert await gone(heard["pid"])
        assert await gone(warm)
        assert (await task).status == "failed"
        assert list(tmp_path.iterdir()) == []

    async def test_a_warm_process_that_cannot_start_is_an_outcome(self, tmp_path):
        async with Executor(
            jobs={"echo": "child_jobs:echo"}, preload=("no_such_module",), scratch=tmp_path
        ) as executor:
            outcome = await executor.execute("echo", {})
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "worker-crashed"

    async def test_starting_does_not_block_the_event_loop(self, tmp_path):
        longest = 0.0

        async def tick():
            nonlocal longest
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.005)
                longest = max(longest, time.monotonic() - before)

        ticking = asyncio.create_task(tick())
        begun = time.monotonic()
        async with executor_of_child_jobs(tmp_path):
            took = time.monotonic() - begun
        ticking.cancel()
        assert longest < took / 2, "imports take seconds, during which the loop went on"


WORKER = """
    import asyncio, sys
    from profiler.executor import Executor

    async def main():
        executor = Executor(jobs={"stubborn": "child_jobs:stubborn"}, preload=())
        await executor.start()
        print(executor._warm._process.pid, flush=True)
        await executor.execute("stubborn", {}, on_progress=lambda m: print(m["pid"], flush=True))

    asyncio.run(main())
"""


@pytest.mark.parametrize("during", ["imports", "job"])
async def test_when_the_worker_is_killed_its_children_die_within_a_second(during, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TMPDIR": str(tmp_path),
    }
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER)],
        stdout=subprocess.PIPE,
        env=environment,
    )
    with worker:
        pids = [int(worker.stdout.readline())]
        if during == "job":
            pids.append(int(await asyncio.to_thread(worker.stdout.readline)))
        worker.kill()
        worker.wait()
        for pid in pids:
            assert await gone(pid, seconds=1.0)
    assert list(tmp_path.iterdir()) == [], "the scratch folder is removed"
