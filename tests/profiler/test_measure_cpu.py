"""Phases, peaks and the timeline of workloads whose every byte is known."""

import pytest
import torch

from planner.allocations import Allocations
from profiler.measure_cpu import measure, summarise
from profiler.timeline import Timeline


def unit(count):
    return torch.empty(count, dtype=torch.int8)


def build_synthetic():
    """100 bytes are built (300 while building); two phases; 1000 bytes live between them."""
    building = unit(200)
    parameters = unit(100)
    del building

    def step(hooks, steps):
        hooks.enter("step0.forward")
        activation = unit(50)
        scratch = unit(30)
        del scratch
        hooks.exit("step0.forward")
        between = unit(1000)
        del between
        hooks.enter("step0.backward")
        gradient = unit(100)
        del activation
        hooks.exit("step0.backward")
        return parameters, gradient

    return step


@pytest.fixture(scope="module")
def found():
    return measure(build_synthetic, on_progress=lambda message: None, timing_budget_seconds=10.0)


def test_peak_and_end_of_each_phase(found):
    measured, _ = found
    phases = {phase.name: (phase.peak_bytes, phase.end_bytes) for phase in measured.phases}
    assert phases == {"step0.forward": (180, 150), "step0.backward": (250, 200)}


def test_what_happens_between_two_phases_counts_for_the_peak(found):
    measured, _ = found
    assert measured.peak_bytes == 100 + 50 + 1000
    assert measured.peak_phase == "step0.forward"


def test_building_counts_as_what_it_leaves(found):
    measured, _ = found
    assert measured.start_bytes == 100


def test_the_timeline_is_that_of_the_measure(found):
    measured, timeline = found
    assert timeline.live_bytes.max() == measured.peak_bytes
    assert [name for name, _, _ in timeline.phases] == ["step0.forward", "step0.backward"]
    assert timeline.time_ns.min() >= 0
    again = Timeline.from_bytes(timeline.to_bytes())
    assert again.live_bytes.tolist() == timeline.live_bytes.tolist()
    assert again.phases == timeline.phases


def test_steps_are_timed_after_the_measure(found):
    measured, _ = found
    assert len(measured.step_seconds_samples) >= 3
    assert min(measured.step_seconds_samples) <= measured.step_seconds
    assert measured.step_seconds <= max(measured.step_seconds_samples)
    assert measured.notes == []


def test_progress_names_each_phase_as_it_begins():
    heard = []
    measure(build_synthetic, on_progress=heard.append, timing_budget_seconds=0.0)
    assert [message["phase"] for message in heard] == ["step0.forward", "step0.backward"]


def test_marks_of_torch_itself_are_no_phases():
    parameter = torch.nn.Parameter(torch.ones(10))
    parameter.grad = torch.ones(10)
    optimizer = torch.optim.AdamW([parameter])  # marks `Optimizer.step#AdamW.step`

    def step(hooks, steps):
        hooks.enter("step0.optimizer_step")
        optimizer.step()
        hooks.exit("step0.optimizer_step")

    measured, _ = measure(lambda: step, on_progress=lambda message: None, timing_budget_seconds=0.0)
    assert [phase.name for phase in measured.phases] == ["step0.optimizer_step"]
    state = optimizer.state[parameter]
    assert measured.phases[0].end_bytes == sum(value.nbytes for value in state.values())


def test_without_a_phase_there_is_no_measure():
    with pytest.raises(ValueError, match="no phase"):
        summarise(Allocations())


def test_a_linear_regression_step_to_the_byte():
    """Forward, backward and SGD of y = xW + b, counted by hand."""
    batch, wide, out = 8, 32, 16

    def build():
        x = torch.ones(batch, wide)
        layer = torch.nn.Linear(wide, out)

        def step(hooks, steps):
            hooks.enter("forward")
            loss = layer(x).sum()
            hooks.exit("forward")
            hooks.enter("backward")
            loss.backward()
            del loss
            hooks.exit("backward")
            hooks.enter("zero_grad")
            layer.zero_grad(set_to_none=True)
            hooks.exit("zero_grad")

        return step

    measured, _ = measure(build, on_progress=lambda message: None, timing_budget_seconds=0.0)
    parameters = 4 * (wide * out + out)
    inputs = 4 * batch * wide
    assert measured.start_bytes == parameters + inputs
    forward, backward, zero_grad = measured.phases
    assert (
        forward.end_bytes == parameters + inputs + 4
    )  # sum() keeps shapes only, and the loss lives
    assert forward.peak_bytes == parameters + inputs + 4 + 4 * batch * out
    assert backward.end_bytes == 2 * parameters + inputs
    assert zero_grad.end_bytes == parameters + inputs
