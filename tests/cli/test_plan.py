"""`headroom plan` through the real command line, with a backend that answers from a script."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import render, render_plan
from app.cli.application import application
from app.cli.errors import CliError, ExitCode
from app.cli.frontier import announced
from planner.plans import Plan, PlanRequest
from tests.app.fakes import AGAINST_BASELINE, INFEASIBLE, MEASURED, PLAN, PROGRESS

FOUND = {"id": "plan_1", "status": "succeeded", **Plan.model_validate(PLAN).model_dump()}
NOTHING = {"id": "plan_1", "status": "succeeded", **Plan.model_validate(INFEASIBLE).model_dump()}


def invoke(*arguments):
    result = CliRunner().invoke(application, ["plan", "--model-type", "gpt2", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def request_of(*arguments):
    """The body that the command would POST, checked to be one that the service takes."""
    result = invoke(*arguments, "--print-request")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    PlanRequest.model_validate(body)
    return body


@pytest.fixture
def answer(monkeypatch):
    """Has the backend answer with a plan; what it was asked is in the list."""
    asked = []

    def answering(found):
        class Backend:
            def plan(self, body, on_progress):
                asked.append(body)
                on_progress({"status": "running", "progress": PROGRESS})
                return found

            def close(self):
                pass

        monkeypatch.setattr("app.cli.commands.plan.open_backend", lambda *_: Backend())
        return asked

    return answering


def printed(renderable, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


class TestRequest:
    def test_what_is_not_said_is_left_to_the_service(self):
        assert set(request_of()) == {"model"}

    def test_every_option_reaches_its_field(self):
        body = request_of(
            *("--memory", "2GiB", "--allow", "checkpointing,selective", "--allow", "offload"),
            *("--units", "transformer.h.*", "--solver", "greedy", "--frontier", "3"),
            *("--solve-for", "batch_size", "-b", "4"),
        )
        del body["model"]
        assert body == {
            "workload": {"batch_size": 4},
            "budget": {"memory": 2 * 2**30},
            "allow": ["checkpointing", "selective", "offload"],
            "units": ["transformer.h.*"],
            "solver": "greedy",
            "frontier_points": 3,
            "solve_for": "batch_size",
        }

    def test_a_plan_finds_the_strategy_itself(self):
        assert "strategy" not in request_of("--checkpointing", "none")
        with pytest.raises(CliError, match="--checkpointing") as caught:
            request_of("--checkpointing", "full")
        assert caught.value.exit_code == ExitCode.USAGE

    def test_a_budget_that_is_none_is_a_usage_error(self):
        with pytest.raises(CliError, match="24GiB") as caught:
            request_of("--memory", "plenty")
        assert caught.value.exit_code == ExitCode.USAGE


class TestAnswer:
    def test_what_fits_ends_with_0_and_can_be_kept(self, answer, tmp_path):
        asked = answer(FOUND)
        file = tmp_path / "strategy.json"
        result = invoke("--memory", "1200", "--strategy-out", str(file))
        assert result.exit_code == 0
        assert asked[0]["budget"] == {"memory": 1200}
        assert "1.2" in result.stdout
        assert json.loads(file.read_text()) == FOUND["strategy"]

    def test_json_is_the_whole_answer(self, answer):
        answer(FOUND)
        assert json.loads(invoke("--json").stdout) == FOUND

    def test_that_nothing_fits_ends_with_3_and_writes_no_strategy(self, answer, tmp_path):
        answer(NOTHING)
        file = tmp_path / "strategy.json"
        result = invoke("--memory", "100", "--strategy-out", str(file))
        assert result.exit_code == ExitCode.DOES_NOT_FIT
        assert not file.exists()
        for text in ("900", "wte.weight: 800 bytes", "a batch of 1 fits 900 bytes", "h.0 recom"):
            assert text in result.stdout

    def test_one_that_failed_ends_with_its_problem(self, answer):
        answer({"status": "failed", "problem": {"type": "limit-exceeded", "detail": "too long"}})
        with pytest.raises(CliError, match="too long"):
            invoke()

    def test_a_file_that_cannot_be_written_is_told(self, answer, tmp_path):
        answer(FOUND)
        with pytest.raises(CliError, match="cannot be written"):
            invoke("--strategy-out", str(tmp_path / "no" / "strategy.json"))


def test_a_plan_shows_baseline_budget_overhead_frontier_and_strategy():
    solved = {"field": "batch_size", "value": 8, "too_large": 9}
    text = printed(render_plan.plan({**FOUND, "solved": solved}))
    assert "Planned peak 1000 B" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["baseline"][:2] == ["1.95", "KiB"]
    assert rows["planned"] == ["1000", "B", "1.100", "x", "1.200", "x"]
    assert rows["budget"] == ["1.17", "KiB"]
    assert "h.0 recompute; 2 micro-batches" in text
    assert "batch size that fits: 8; 9 does not" in text
    assert "offload is not tried" in text


def test_new_points_of_the_frontier_are_announced_once(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, no_color=True, highlight=False)
    monkeypatch.setattr("app.cli.frontier.err", console)
    heard = []
    listen = announced(heard.append)
    more = {**PROGRESS["frontier"][0], "peak_bytes": 777}
    for frontier in ([], PROGRESS["frontier"], [*PROGRESS["frontier"], more]):
        listen({"status": "running", "progress": {"phase": "frontier", "frontier": frontier}})
    listen({"status": "queued", "progress": None})
    assert len(heard) == 4
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert "1000 B" in lines[0]
    assert "777 B" in lines[1]


RUN = {
    "predicted": {"peak_bytes": 1000},
    "measured": MEASURED,
    "relative_error": -0.2,
    "phases": [],
    **AGAINST_BASELINE,
}


class TestRunOfAPlan:
    def test_it_is_compared_with_the_unplanned_step(self):
        text = printed(render.comparison(RUN))
        assert "Planned 1.22 KiB, unplanned 2.05 KiB, both measured: 40.5% less." in text
        assert "1.25 times as long" in text
        assert "Gradients match" in text

    def test_a_mismatch_is_shouted(self):
        match = {**AGAINST_BASELINE["gradients_match"], "match": False}
        assert "DO NOT match" in printed(render.comparison({**RUN, "gradients_match": match}))

    def test_why_there_is_no_baseline_is_told(self):
        run = {**RUN, "baseline": {"reason": "too large"}, "slowdown": None}
        text = printed(render.comparison({**run, "gradients_match": None}))
        assert "The unplanned step was not run: too large" in text
        assert "Gradients" not in text

    @pytest.mark.parametrize(
        "options", [["--plan", "plan_1", "--local"], ["--plan", "p", "--simulation", "s"]]
    )
    def test_options_that_exclude_each_other(self, options):
        error = CliRunner().invoke(application, ["run", *options]).exception
        assert isinstance(error, CliError)
        assert error.exit_code == ExitCode.USAGE
