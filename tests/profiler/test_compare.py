import json
import sys

import pytest

from planner.prediction import Categories, Phase, Prediction
from profiler import compare
from profiler.compare import relative_error, table
from profiler.measured import Measured, MeasuredPhase


def prediction(**phases):
    return Prediction(
        peak_bytes=max(phases.values()),
        peak_phase="a",
        phases=[Phase(name=name, peak_bytes=peak, end_bytes=1) for name, peak in phases.items()],
        at_peak=Categories(),
        largest_at_peak=[],
        modules_at_peak=[],
        parameter_count=1,
        trainable_parameter_count=1,
        step_flops=1,
        op_count=1,
    )


def measured(**phases):
    return Measured(
        peak_bytes=max(phases.values()),
        peak_phase="a",
        phases=[
            MeasuredPhase(name=name, peak_bytes=peak, end_bytes=1) for name, peak in phases.items()
        ],
        start_bytes=0,
        notes=["bounded"],
    )


def test_relative_error():
    assert relative_error(110, 100) == pytest.approx(0.1)
    assert relative_error(0, 0) == 0
    assert relative_error(1, 0) == 1


def test_the_table_pairs_phases_by_name():
    lines = table(prediction(a=90, gone=5), measured(a=100, new=7))
    rows = {tuple(line.split()[:2]): line for line in lines}
    assert rows["a", "peak"].split()[2:] == ["90", "100", "-10", "-10.0000%"]
    assert rows["new", "peak"].split()[2:] == ["-", "7"]
    assert any(line.startswith("gone") and "predicted, but" in line for line in lines)
    assert lines[-1] == "note: bounded"


def run_main(monkeypatch, tmp_path, *options):
    path = tmp_path / "request.json"
    config = {"model_type": "gpt2", "n_layer": 1, "n_embd": 32, "n_head": 2, "vocab_size": 100}
    path.write_text(
        json.dumps(
            {
                "model": {"source": "transformers", "config": config},
                "workload": {"batch_size": 1, "sequence_length": 16},
            }
        )
    )
    monkeypatch.setattr(sys, "argv", ["compare", str(path), *options])
    return compare.main()


def test_the_command_measures_and_prints(monkeypatch, tmp_path, capsys):
    assert run_main(monkeypatch, tmp_path, "--measured-only", "--seconds") == 0
    printed = capsys.readouterr().out
    assert "step1.backward" in printed
    assert "step_seconds" in printed


def test_the_command_says_why_it_failed(monkeypatch, tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text('{"model": {"source": "nowhere"}}')
    monkeypatch.setattr(sys, "argv", ["compare", str(path)])
    with pytest.raises(SystemExit, match="invalid-request"):
        compare.main()
