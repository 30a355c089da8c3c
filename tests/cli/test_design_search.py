"""`headroom design-search`, with a backend that answers from a script, and without any."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import console, local_designs
from app.cli.application import application
from app.cli.axes import axis_names
from app.cli.console import described
from app.cli.errors import CliError, ExitCode
from app.cli.local import Local
from planner.designs.find import find_design
from planner.designs.request import DesignSearchRequest
from planner.errors import InvalidRequest
from tests.app.test_design_searches import Simulator, search_body
from tests.planner.designs.spaces import arithmetic, asked

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "design-search.json")
HIDDEN = "/model/config/hidden_size"


def invoke(*arguments, **options):
    result = CliRunner().invoke(application, ["design-search", *arguments], **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def request_of(*arguments, **options):
    """The body that the command would POST, checked to be one that the service takes."""
    result = invoke(*arguments, "--print-request", **options)
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    DesignSearchRequest.model_validate(body)
    return body


def found_by(**fields):
    """A search as it ended."""
    request = asked(evaluations=8, **fields)
    answer = find_design(request, arithmetic)
    objective = request.objective
    return {
        "id": "search_1",
        "status": "succeeded",
        "request": request.model_dump(mode="json"),
        "feasible": answer.best is not None,
        "best_value": None if answer.best is None else getattr(answer.best.metrics, objective),
        **answer.model_dump(mode="json"),
    }


@pytest.fixture(scope="module")
def found():
    return found_by(objective="score", constraints={"peak_bytes": 8_000_000})


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    # The console has taken its width from the environment when it was made.
    monkeypatch.setattr(console.out, "width", 160)


@pytest.fixture
def answer(monkeypatch):
    """Has the backend answer with a search; what it was asked is in the list."""
    bodies = []

    def answering(found):
        class Backend:
            def search_designs(self, body, on_progress):
                bodies.append(body)
                on_progress({"status": "queued", "progress": None})
                on_progress({"status": "running", "progress": {"phase": "starting"}})
                on_progress({"status": "running", "progress": progress(evaluations=3)})
                return found

            def close(self):
                pass

        monkeypatch.setattr("app.cli.commands.design_search.open_backend", lambda *_: Backend())
        return bodies

    return answering


def progress(**fields):
    return {
        "phase": "proposed",
        "evaluations": 0,
        "most_evaluations": 8,
        "best_value": 254.2,
        "best": {},
        **fields,
    }


class TestRequest:
    def test_a_file_is_the_request(self):
        assert request_of(EXAMPLE) == {**json.loads(Path(EXAMPLE).read_text()), "vary": []}

    def test_every_option_reaches_its_field(self):
        body = request_of(
            *("--model-type", "bert", "--vary", "batch_size=1,2", "--vary", "device=t4,l4"),
            *("--transformer", "hidden=64,128", "--transformer", "feed-forward=256"),
            *("--objective", "cost", "--price", "t4=0.35", "--price", "l4=0.71"),
            *("--memory", "1GiB", "--max-seconds", "0.5", "--max-parameters", "1000"),
            *("--min-score", "7.5", "--no-fits", "--alpha", "0.25", "-n", "30", "--seed", "4"),
        )
        del body["model"]
        assert body == {
            "vary": [
                {"pointer": "/workload/batch_size", "values": [1, 2]},
                {"pointer": "/device", "values": ["t4", "l4"]},
            ],
            "transformer": {"hidden": [64, 128], "feed_forward": [256]},
            "objective": "cost",
            "prices": {"t4": 0.35, "l4": 0.71},
            "constraints": {
                "peak_bytes": 2**30,
                "step_seconds": 0.5,
                "parameter_count": 1000,
                "score": 7.5,
                "fits": False,
            },
            "alpha": 0.25,
            "evaluations": 30,
            "seed": 4,
        }

    def test_options_go_before_the_file_and_leave_the_rest_of_it(self):
        file = {
            **json.loads(Path(EXAMPLE).read_text()),
            "vary": [
                {"pointer": "/workload/batch_size", "values": [1, 2, 4]},
                {"pointer": "/workload/precision", "values": ["fp32", "bf16"]},
            ],
        }
        body = request_of(
            *("-", "--vary", "batch_size=8", "--transformer", "heads=4", "--min-score", "9"),
            *("-n", "3"),
            input=json.dumps(file),
        )
        assert body["vary"] == [
            file["vary"][1],
            {"pointer": "/workload/batch_size", "values": [8]},
        ]
        assert body["transformer"] == {**file["transformer"], "heads": [4]}
        assert body["constraints"] == {**file["constraints"], "score": 9}
        assert body["evaluations"] == 3

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--transformer", "hidden"],
            ["--transformer", "=64"],
            ["--price", "t4"],
            ["--price", "t4=cheap"],
            ["--memory", "plenty"],
            ["--vary", "batch_size"],
        ],
    )
    def test_what_cannot_be_read_is_a_usage_error(self, arguments):
        with pytest.raises(CliError) as caught:
            invoke(EXAMPLE, *arguments, "--print-request")
        assert caught.value.exit_code == ExitCode.USAGE


class TestAnswer:
    def test_the_best_designs_are_a_table_the_best_first(self, answer, found):
        answer(found)
        result = invoke(EXAMPLE, "--top", "3")
        assert result.exit_code == 0
        feasible = [each for each in found["designs"] if each["feasible"]]
        best = sorted(feasible, key=lambda each: -each["metrics"]["score"])[:3]
        table = result.stdout.partition("The best designs")[2].partition("Drawing")[0]
        rows = [line.split() for line in table.splitlines() if line.strip()[:1].isdigit()]
        assert [int(row[0]) for row in rows] == [each["choices"][HIDDEN] for each in best]
        marked = [bool(each["expected"] and each["expected"]["extrapolated"]) for each in best]
        assert [row[-1] == "~" for row in rows] == marked
        assert f"{found['random_search']['regret']:.1%} worse" in result.stdout

    def test_json_is_the_whole_answer(self, answer, found):
        bodies = answer(found)
        assert json.loads(invoke(EXAMPLE, "--json").stdout) == found
        assert bodies[0]["objective"] == "score"

    def test_that_nothing_is_feasible_ends_with_3_and_says_why(self, answer):
        answer(found_by(constraints={"peak_bytes": 1000}))
        result = invoke(EXAMPLE)
        assert result.exit_code == ExitCode.DOES_NOT_FIT
        assert "No design simulated is feasible" in result.stdout
        assert "is more than 1000" in result.stdout

    def test_a_search_that_failed_ends_with_1(self, answer):
        answer({"status": "failed", "problem": {"type": "worker-crashed", "title": "t"}})
        with pytest.raises(CliError) as caught:
            invoke(EXAMPLE)
        assert caught.value.exit_code == ExitCode.FAILURE

    def test_axes_that_end_alike_are_named_in_full(self):
        first, second, third = "/model/blocks/0/repeat", "/model/blocks/1/repeat", "/device"
        assert axis_names([first, second, third]) == {
            first: first[1:],
            second: second[1:],
            third: "device",
        }


def test_progress_with_a_total_is_a_bar():
    narrow = Console(file=io.StringIO(), width=100)
    done = {"done": 3, "total": 8, "phase": "best 254.2"}
    narrow.print(described("Searching", {"status": "running", "progress": done}))
    line = narrow.file.getvalue()
    assert "Searching: running" in line
    assert "3 of 8, best 254.2" in line
    assert "━" in line


class TestLocal:
    """In this process, with an executor that simulates by arithmetic."""

    @pytest.fixture
    def simulator(self, monkeypatch):
        simulator = Simulator()

        class Executor:
            async def __aenter__(self):
                return self

            async def __aexit__(self, *error):
                pass

            async def simulate(self, request, device, *, limits):
                assert limits.wall_seconds > 0
                return await simulator(request, device)

        monkeypatch.setattr(local_designs, "Executor", Executor)
        monkeypatch.setattr("app.cli.local.check_design_search", lambda request: request)
        return simulator

    def test_it_answers_as_a_service_does_and_tells_how_far_it_is(self, simulator):
        told = []
        found = Local().search_designs(search_body(evaluations=12), told.append)
        assert (found["feasible"], found["best_value"]) == (True, 1000)
        assert found["best"]["choices"] == {"/model/config/width": 1, "/model/config/depth": 1}
        assert (found["evaluations"], found["stored"]) == (12, 0)
        assert [each["progress"]["evaluations"] for each in told] == [*range(13)]
        assert told[-1]["progress"]["best_value"] == 1000

    def test_what_cannot_be_built_is_refused_and_what_fails_is_infeasible(self, simulator):
        def fails(config):
            kind = {1: InvalidRequest.type, 2: "step-failed"}.get(config["width"])
            return kind and {"type": kind, "title": "No", "detail": "as told"}

        simulator.fails = fails
        batches = {"pointer": "/workload/batch_size", "values": [0, 1]}
        body = search_body(evaluations=24)
        found = Local().search_designs({**body, "vary": [*body["vary"], batches]}, lambda _: None)
        assert (found["evaluations"], found["refused"]) == (9, 15)
        assert found["best_value"] == 4000
        failed = [each for each in found["designs"] if each["violations"] == ["No: as told"]]
        assert len(failed) == 6

    def test_a_wrong_request_is_named(self):
        with pytest.raises(InvalidRequest) as caught:
            Local().search_designs(search_body(evaluations=0), lambda _: None)
        assert caught.value.errors[0].pointer == "/evaluations"
