import itertools

import pytest

from profiler import marks
from profiler.timing import MAX_SAMPLES, WANTED_SAMPLES, time_alternately, time_steps


@pytest.fixture
def clock(monkeypatch):
    """A clock that the workload itself moves on."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def steps_taking(clock, *seconds):
    durations = itertools.chain(seconds, itertools.repeat(seconds[-1]))

    def execute(hooks):
        clock[0] += 5.0  # outside the phases: not the step's
        hooks.enter("step0.forward")
        clock[0] += next(durations)
        hooks.exit("step0.forward")

    return execute


def timed(execute, **options):
    defaults = {"budget_seconds": 1e6, "expected_seconds": 0.0}
    return time_steps(execute, on_progress=lambda message: None, **{**defaults, **options})


def test_the_first_execution_warms_up_and_the_median_of_three_is_taken(clock):
    timing = timed(steps_taking(clock, 90.0, 3.0, 1.0, 2.0))
    assert timing.samples == pytest.approx([3.0, 1.0, 2.0])
    assert timing.median_seconds() == pytest.approx(2.0)
    assert timing.notes == []


def test_quick_steps_get_more_samples(clock):
    assert len(timed(steps_taking(clock, 0.25)).samples) == 4
    assert len(timed(steps_taking(clock, 0.001)).samples) == MAX_SAMPLES


def test_the_budget_ends_it_and_says_so(clock):
    timing = timed(steps_taking(clock, 10.0), budget_seconds=39.0, expected_seconds=10.0)
    assert len(timing.samples) == 1
    assert f"1 samples instead of {WANTED_SAMPLES}" in timing.notes[0]


def test_an_expensive_step_is_not_begun(clock):
    timing = timed(steps_taking(clock, 100.0), budget_seconds=60.0, expected_seconds=100.0)
    assert clock[0] == 0.0
    assert timing.median_seconds() is None


def test_the_device_is_waited_for(clock):
    waited = []
    timed(steps_taking(clock, 1.0), synchronize=lambda: waited.append(clock[0]))
    assert len(waited) == 2 * (1 + WANTED_SAMPLES)


def test_a_workload_without_phases_cannot_be_timed():
    with pytest.raises(ValueError, match="no phase"):
        marks.WallClock(lambda message: None, lambda: None).seconds()


def test_two_steps_are_timed_in_turn(clock):
    quick, slow = steps_taking(clock, 9.0, 1.0), steps_taking(clock, 9.0, 2.0)
    both = time_alternately(
        [quick, slow], on_progress=lambda message: None, budget_seconds=1e6, expected_seconds=0.0
    )
    assert [timing.samples for timing in both] == [
        pytest.approx([1.0] * WANTED_SAMPLES),
        pytest.approx([2.0] * WANTED_SAMPLES),
    ]
    both = time_alternately(
        [quick, slow], on_progress=lambda message: None, budget_seconds=2.0, expected_seconds=3.0
    )
    assert all(timing.samples == [] and timing.notes for timing in both)
