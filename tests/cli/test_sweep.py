"""`headroom sweep` through the real command line, with a backend that answers from a script."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.cli.application import application
from app.cli.errors import CliError
from planner.sweeps import SweepRequest

BATCHES = ["--vary", "batch_size=1,2"]
GRID = [*BATCHES, "--vary", "sequence_length=8,16,32"]


def invoke(*arguments):
    result = CliRunner().invoke(application, ["sweep", "--model-type", "gpt2", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def vary(*arguments):
    """The axes that the command would POST, in a request that the service takes."""
    result = invoke(*arguments, "--print-request")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    SweepRequest.model_validate(body)
    return {axis["pointer"]: axis["values"] for axis in body["vary"]}


@pytest.fixture
def answer(monkeypatch):
    """Has the backend answer each combination by a function of its values."""

    def answering(of):
        class Backend:
            def sweep(self, body, on_progress):
                from planner.variation import Space

                request = SweepRequest.model_validate(body)
                space = Space.of(request)
                points = [
                    {"number": n, "values": space.choices(n), "status": "succeeded", **of(n)}
                    for n in range(space.size)
                ]
                counts = {"total": space.size, "succeeded": 1, "failed": 0, "cancelled": 0}
                on_progress({"status": "running", "counts": counts})
                return {"id": "sweep_1", "status": "succeeded", "request": body, "points": points}

            def close(self):
                pass

        monkeypatch.setattr("app.cli.commands.sweep.open_backend", lambda *_: Backend())

    return answering


class TestAxes:
    @pytest.mark.parametrize(
        ("text", "pointer", "values"),
        [
            ("batch_size=1,2,4", "/workload/batch_size", [1, 2, 4]),
            ("sequence-length=8", "/workload/sequence_length", [8]),
            ("device=t4, l4", "/device", ["t4", "l4"]),
            ("checkpointing=none,full", "/strategy/checkpointing", ["none", "full"]),
            ("n_layer=6,12", "/model/config/n_layer", [6, 12]),
            ("/workload/precision=bf16", "/workload/precision", ["bf16"]),
            ('optimizer=[{"name": "sgd"}]', "/workload/optimizer", [{"name": "sgd"}]),
        ],
    )
    def test_names_lead_to_their_places(self, text, pointer, values):
        assert vary("--vary", text) == {pointer: values}

    def test_a_file_keeps_its_own(self, tmp_path):
        file = tmp_path / "sweep.json"
        own = {"pointer": "/workload/batch_size", "values": [1, 2]}
        model = {"source": "transformers", "config": {"model_type": "gpt2"}}
        file.write_text(json.dumps({"model": model, "vary": [own]}))
        assert vary(str(file)) == {own["pointer"]: [1, 2]}
        assert vary(str(file), "--vary", "batch_size=4") == {own["pointer"]: [4]}

    @pytest.mark.parametrize("text", ["batch_size", "=1", "batch_size=", "x=[1"])
    def test_what_is_no_axis_is_refused(self, text):
        with pytest.raises(CliError) as error:
            invoke("--vary", text, "--print-request")
        assert error.value.exit_code == 2


class TestAnswer:
    def test_two_axes_are_a_grid(self, answer):
        answer(lambda number: {"peak_bytes": (number + 1) << 20})
        lines = invoke(*GRID).stdout.splitlines()
        assert any(line.split() == ["batch", "size", "8", "16", "32"] for line in lines)
        last = next(line for line in lines if line.strip().startswith("2 "))
        assert last.split() == ["2", "4.00", "MiB", "5.00", "MiB", "6.00", "MiB"]

    def test_what_does_not_fit_is_marked(self, answer):
        answer(lambda number: {"peak_bytes": (number + 1) << 20})
        result = invoke(*BATCHES, "--memory", "1MiB")
        assert result.exit_code == 0
        assert result.stdout.count("!") == 1

    def test_the_device_says_what_fits(self, answer):
        answer(lambda number: {"peak_bytes": 1, "fits": False})
        assert invoke(*BATCHES).exit_code == 3

    def test_what_failed_says_why(self, answer):
        problem = {"title": "t", "detail": "the batch is odd"}
        answer(lambda n: {"status": "failed", "problem": problem} if n else {"peak_bytes": 1})
        assert "batch size 2: the batch is odd" in invoke(*BATCHES).stdout

    def test_that_all_failed_is_a_failure(self, answer):
        answer(lambda number: {"status": "failed", "problem": None})
        with pytest.raises(CliError) as error:
            invoke(*BATCHES)
        assert error.value.exit_code == 1
