from __future__ import annotations

import io
import re

from rich.console import Console

from app.cli import render

FOUND = {
    "peak_bytes": 3 * 2**20,
    "peak_phase": "step1.backward",
    "parameter_count": 10,
    "trainable_parameter_count": 10,
    "step_flops": 10**9,
    "op_count": 5,
    "phases": [{"name": "step1.backward", "peak_bytes": 3 * 2**20, "end_bytes": 2**20}],
    "at_peak": {"parameters": 2 * 2**20, "temporaries": 2**20, "inputs": 0},
    "modules_at_peak": [{"name": "", "bytes": 2**20}],
    "limitations": ["something is not covered"],
}


def printed(renderable, width=100):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def phase(name, predicted, measured):
    error = None if None in (predicted, measured) else (predicted - measured) / measured
    return {
        "name": name,
        "predicted_peak_bytes": predicted,
        "measured_peak_bytes": measured,
        "relative_error": error,
    }


def test_a_comparison_shows_exact_bytes_and_the_error_of_each_phase():
    run = {
        "predicted": {"peak_bytes": 1_000_000_000},
        "measured": {"peak_bytes": 1_000_000_250, "step_seconds": 0.5},
        "relative_error": -2.5e-7,
        "phases": [
            phase("step0.forward", 1_000_000_000, 1_000_000_250),
            phase("step0.backward", 500, 500),
            phase("step0.optimizer_step", 101, 100),
            phase("step0.zero_grad", None, 7),
        ],
    }
    rows = {
        line.split()[0]: line.split()[1:]
        for line in printed(render.comparison(run)).splitlines()
        if "step0" in line
    }
    assert rows["step0.forward"] == ["1,000,000,000", "1,000,000,250", "-250", "-2.5e-05", "%"]
    assert rows["step0.backward"] == ["500", "500", "0", "0", "%"]
    assert rows["step0.optimizer_step"] == ["101", "100", "+1", "+1", "%"]
    assert rows["step0.zero_grad"] == ["-", "7", "-", "-"]


def test_a_narrow_terminal_gets_the_tables_one_below_the_other_and_loses_no_number():
    narrow = printed(render.prediction({"prediction": FOUND}), width=70)
    for text in ("3.00 MiB", "66.7%", "33.3%", "(the step itself)", "something is not covered"):
        assert text in narrow
    assert "inputs" not in narrow


def test_a_problem_names_place_reason_and_remedy():
    console = Console(file=io.StringIO(), width=100)
    problem = {
        "title": "The request is not valid",
        "errors": [{"pointer": "/workload/batch_size", "detail": "too small", "remedy": "write 1"}],
    }
    render.problem(console, problem)
    text = console.file.getvalue()
    assert "/workload/batch_size: too small" in text
    assert "write 1" in text


PREDICTED = {
    "peak_bytes": 100, "peak_phase": "step1.backward", "parameter_count": 1, "op_count": 1,
    "trainable_parameter_count": 1, "step_flops": 1, "phases": [], "at_peak": {},
    "step_seconds": 0.25,
}  # fmt: skip


def test_the_seconds_of_a_step_come_with_what_they_rest_on():
    bound = {**PREDICTED, "step_seconds_basis": "roofline", "step_seconds_runs": 0}
    assert "One step: 0.25 s, by the device's peaks" in printed(
        render.prediction({"prediction": bound})
    )
    learnt = {**PREDICTED, "step_seconds_basis": "calibrated", "step_seconds_runs": 3}
    assert "calibrated (measured runs: 3)" in printed(render.prediction({"prediction": learnt}))


def test_a_device_with_several_memories_shows_what_each_holds():
    use = {"name": "RRAM", "fits": False, "peak_bytes": 3 * 2**20, "capacity_bytes": 2**21}
    use |= {"read_bytes": 2**10, "written_bytes": 0}
    shown = printed(render.prediction({"prediction": FOUND | {"tiers": [use]}}), width=70)
    assert "Memory tiers" in shown
    (line,) = (line for line in shown.splitlines() if "RRAM" in line)
    assert re.findall(r"[\d.]+ \w*B", line) == ["3.00 MiB", "2.00 MiB", "1.00 KiB", "0 B"]


def test_gradients_that_were_not_compared_are_said_to_be():
    shown = printed(render._gradients({"reason": "the step does not fit"}))
    assert "not compared: the step does not fit" in shown


def test_a_narrow_list_leaves_out_its_last_columns_and_cuts_no_id():
    columns = [("Plan", "id"), ("Peak", "peak_bytes"), ("Created", "created_at")]
    item = {"id": "plan_" + 28 * "a", "peak_bytes": 2**20, "created_at": "2026-11-24T17:30:31Z"}
    for width in range(35, 50):
        assert item["id"] in printed(render.listing(columns, [item], "", width=width), width=width)
    narrow = printed(render.listing(columns, [item], "", width=50), width=50)
    assert item["id"] in narrow
    assert "1.00 MiB" in narrow
    assert "Created" not in narrow
    wide = printed(render.listing(columns, [item], "", width=100))
    assert item["created_at"] in wide
