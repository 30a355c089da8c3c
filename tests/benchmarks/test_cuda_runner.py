"""What is done, done again, and left out, with an executor that stands in for the real one."""

import asyncio
import json
import time

import pytest

from benchmarks.cuda_cases import Case
from benchmarks.cuda_runner import EXECUTOR_JOBS, RowsFile, Runner
from planner.devices import BUILTIN
from profiler.outcome import ChildExit, Outcome
from profiler.warm import load_jobs
from tests.benchmarks.rows import HEADER, OUT_OF_MEMORY, measured, predicted
from tests.planner.tapes import tape_of

H100 = BUILTIN["h100-80gb"]
CASES = {"small": Case({"a": 1}), "large": Case({"b": 2}, minimum_bytes=2**40)}
PREDICTION = predicted()["prediction"] | {
    "peak_phase": "step0.forward",
    "at_peak": {},
    "limitations": [],
    "step_flops": 5,
}


class FakeExecutor:
    """Answers at once, remembers what it was asked, and how much of it at a time."""

    def __init__(self, run=None, seconds=0.0):
        self.run = run or Outcome("succeeded", {"measured": measured()["measured"]})
        self.seconds = seconds
        self.asked = []
        self.running = self.most_running = 0

    async def simulate(self, request, device, *, limits):
        await self._spend(("simulate", request["device"], limits.wall_seconds))
        tape = tape_of([0, 1, ~1], [512, 1024])
        return Outcome("succeeded", {"prediction": PREDICTION}, artifacts={"tape": tape.to_bytes()})

    async def execute(self, kind, payload, *, limits):
        await self._spend((kind, payload["request"], limits.wall_seconds))
        return self.run

    async def _spend(self, asked):
        self.asked.append(asked)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1

    def kinds(self):
        return sorted(kind for kind, _, _ in self.asked)


def fill(rows, executor, *, seconds=1000.0, measuring=True, cases=CASES, jobs=2):
    done = []
    runner = Runner(executor, H100, jobs=jobs, until=time.monotonic() + seconds)
    asyncio.run(runner.complete(rows, cases, done.append, measuring=measuring))
    assert sorted(row["name"] for row in done) == sorted(row["name"] for row in rows)
    return rows


@pytest.fixture
def rows():
    return RowsFile(None).select(CASES)


def test_the_jobs_of_its_children_exist():
    assert load_jobs(EXECUTOR_JOBS).keys() == EXECUTOR_JOBS.keys()


class TestRunner:
    def test_a_row_has_both_sides_and_what_they_hold(self, rows):
        small, _ = fill(rows, FakeExecutor())
        assert small["predicted"]["status"] == small["measured"]["status"] == "succeeded"
        assert small["measured"]["measured"]["peak_bytes"] == PREDICTION["peak_bytes"]
        assert [held.block_bytes for held in small["predicted"]["held"]["step0.forward"]] == [
            1024,
            512,
        ]
        assert "step_flops" not in small["predicted"]["prediction"]
        assert json.loads(json.dumps(small)) is not None

    def test_a_case_for_larger_devices_is_predicted_alone(self, rows):
        executor = FakeExecutor()
        _, large = fill(rows, executor)
        assert large["measured"]["status"] == "skipped"
        assert "1.00 TiB" in large["measured"]["error"]
        assert executor.kinds() == ["run", "simulate", "simulate"]

    def test_what_is_there_is_not_done_again(self, rows):
        fill(rows, FakeExecutor())
        again = FakeExecutor()
        fill(rows, again)
        assert again.asked == []

    def test_predictions_for_another_profile_are_made_anew(self, rows):
        fill(rows, FakeExecutor())
        again = FakeExecutor()
        runner = Runner(again, BUILTIN["h200"], jobs=1, until=time.monotonic() + 1000)
        asyncio.run(runner.complete(rows, CASES, lambda row: None, measuring=True))
        assert again.kinds() == ["simulate", "simulate"]

    def test_failures_are_tried_again(self, rows):
        problem = {"detail": "ValueError: no\nModel(...)", "phase": "step0.forward"}
        failing = FakeExecutor(Outcome("failed", None, problem, exit=ChildExit(wall_seconds=1.23)))
        small, _ = fill(rows, failing)
        assert small["measured"] == {
            "status": "failed",
            "error": "ValueError: no",
            "phase": "step0.forward",
            "seconds": 1.23,
        }
        again = FakeExecutor()
        fill(rows, again)
        assert again.kinds() == ["run"]

    def test_running_out_of_memory_is_a_result(self, rows):
        problem = {"detail": "refused", "phase": "step0.backward"}
        small, _ = fill(rows, FakeExecutor(Outcome("out_of_memory", None, problem)))
        assert (small["measured"]["status"], small["measured"]["phase"]) == (
            "out_of_memory",
            "step0.backward",
        )
        again = FakeExecutor()
        fill(rows, again)
        assert again.asked == []

    def test_nothing_begins_when_no_time_is_left(self, rows):
        executor = FakeExecutor()
        small, _ = fill(rows, executor, seconds=1)
        assert executor.asked == []
        assert (
            small["predicted"]
            == small["measured"]
            == {
                "status": "skipped",
                "error": "no time was left",
            }
        )

    def test_a_child_gets_no_more_than_the_time_left(self, rows):
        executor = FakeExecutor()
        fill(rows, executor, seconds=30)
        assert executor.asked
        assert all(seconds <= 30 for _, _, seconds in executor.asked)

    def test_the_gpu_measures_one_case_at_a_time(self):
        cases = {str(index): Case({"index": index}) for index in range(5)}
        executor = FakeExecutor(seconds=0.01)
        rows = RowsFile(None).select(cases)
        fill(rows, FakeExecutor(), measuring=False, cases=cases)
        fill(rows, executor, cases=cases)
        assert executor.kinds() == ["run"] * 5
        assert executor.most_running == 1

    def test_predictions_go_side_by_side_but_no_more_than_asked(self):
        cases = {str(index): Case({"index": index}) for index in range(6)}
        executor = FakeExecutor(seconds=0.01)
        fill(RowsFile(None).select(cases), executor, measuring=False, cases=cases, jobs=3)
        assert executor.most_running == 3


class TestRowsFile:
    @pytest.fixture
    def file(self, tmp_path):
        return RowsFile(tmp_path / "rows.json")

    def stored(self, file, header=HEADER, cases=CASES):
        file.header = header
        for row in file.select(cases):
            row |= {"predicted": predicted(), "measured": measured()}
        file.save()
        again = RowsFile(file.path)
        again.load()
        return again

    def test_what_is_saved_is_loaded(self, file):
        again = self.stored(file)
        assert (again.header, again.rows) == (file.header, json.loads(json.dumps(file.rows)))
        assert [path.name for path in file.path.parent.iterdir()] == ["rows.json"]

    def test_there_need_be_no_file(self, file):
        file.load()
        assert file.rows == {}
        RowsFile(None).save()

    def test_a_case_that_changed_begins_again(self, file):
        again = self.stored(file)
        small, large = again.select(CASES | {"small": Case({"a": 3})})
        assert small == {"name": "small", "body": {"a": 3}}
        assert large["measured"] == measured()

    def test_rows_that_are_not_asked_for_stay(self, file):
        again = self.stored(file)
        again.select({"small": CASES["small"]})
        again.save()
        assert json.loads(file.path.read_text())["rows"][1]["name"] == "large"

    def test_measurements_of_the_same_device_hold(self, file):
        again = self.stored(file)
        again.measured_on(HEADER | {"context": {"context_bytes": 1}})
        assert again.rows["small"]["measured"] == measured()

    @pytest.mark.parametrize(
        "change",
        [
            {"device": HEADER["environment"]["device"] | {"name": "NVIDIA H200"}},
            {"versions": {"torch": "2.14.0"}},
            {"settings": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}},
        ],
    )
    def test_those_of_another_device_or_library_do_not(self, file, change):
        again = self.stored(file)
        again.measured_on({"environment": HEADER["environment"] | change})
        assert "measured" not in again.rows["small"]
        assert again.rows["small"]["predicted"] == predicted()


def test_out_of_memory_is_what_the_rows_call_it():
    assert Outcome("out_of_memory").status == OUT_OF_MEMORY["status"]
