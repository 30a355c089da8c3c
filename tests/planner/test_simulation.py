import pytest

from planner.simulation import phase_peaks, simulate, timeline
from planner.tape import Category
from tests.planner.tapes import tape_of


@pytest.fixture
def tape():
    return tape_of(
        [0, 1, 2, ~1, 3, ~2, ~3],
        [100, 30, 50, 60],
        op_events=[1, 2, 4],
        phases={"step0.forward": (1, 4), "step0.backward": (4, 7)},
        categories=[
            Category.parameters,
            Category.temporaries,
            Category.activations,
            Category.gradients,
        ],
    )


def test_peak_phase_and_categories_add_up(tape):
    prediction = simulate(tape)
    assert prediction.peak_bytes == 210
    assert prediction.peak_phase == "step0.backward"
    at_peak = prediction.at_peak
    assert (at_peak.parameters, at_peak.activations, at_peak.gradients) == (100, 50, 60)
    assert sum(at_peak.model_dump().values()) == prediction.peak_bytes
    assert sum(holder.bytes for holder in prediction.modules_at_peak) == prediction.peak_bytes
    assert prediction.largest_at_peak[0].bytes == 100


def test_a_phase_starts_at_the_level_it_finds(tape):
    forward, backward = phase_peaks(tape)
    assert (forward.peak_bytes, forward.end_bytes) == (180, 150)
    assert (backward.peak_bytes, backward.end_bytes) == (210, 100)


@pytest.mark.parametrize("points", [1, 2, 3, 100])
def test_a_thinned_timeline_keeps_the_peak(tape, points):
    series = timeline(tape, points)
    assert max(series["total_bytes"]) == 210
    for index, total in enumerate(series["total_bytes"]):
        assert sum(values[index] for values in series["bytes_by_category"].values()) == total
    assert [phase["name"] for phase in series["phases"]] == tape.phases


def test_a_window_of_the_timeline_is_exact(tape):
    series = timeline(tape, 10, first_event=2, end_event=5)
    assert series["event"] == [2, 3, 4]
    assert series["total_bytes"] == tape.live_bytes[2:5].tolist()
    assert series["event_count"] == 7


@pytest.mark.parametrize(("first", "end"), [(6, 2), (100, None), (0, 10**6)])
def test_a_window_beyond_the_tape_ends_with_it(tape, first, end):
    assert timeline(tape, 10, first, end)["event"][-1] == 6
