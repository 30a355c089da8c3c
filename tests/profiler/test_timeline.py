import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.timeline import Timeline


def timeline(values, phases=()):
    return Timeline(
        time_ns=np.arange(len(values), dtype=np.int64) * 1_000_000_000,
        live_bytes=np.array(values, np.int64),
        phases=list(phases),
    )


def test_it_is_stored_and_loaded():
    original = timeline([1, 2**50, 3], [("step0.forward", 0, 2)])
    loaded = Timeline.from_bytes(original.to_bytes())
    assert loaded.time_ns.tolist() == original.time_ns.tolist()
    assert loaded.live_bytes.tolist() == original.live_bytes.tolist()
    assert loaded.phases == original.phases


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_what_is_no_timeline_is_refused(data):
    with pytest.raises(ValueError, match="timeline"):
        Timeline.from_bytes(data)


def test_points_of_a_short_one_are_all_of_it():
    points = timeline([5, 1, 4], [("a", 0, 10**9)]).points(100)
    assert points == {
        "seconds": [0.0, 1.0, 2.0],
        "live_bytes": [5, 1, 4],
        "reserved_bytes": None,
        "phases": [{"name": "a", "start_seconds": 0.0, "end_seconds": 1.0}],
    }


def test_what_the_allocator_held_is_kept_beside_what_was_live():
    made = timeline([5, 1, 4])
    assert made.points(100)["reserved_bytes"] is None
    made.reserved_bytes = np.array([8, 8, 16])
    again = Timeline.from_bytes(made.to_bytes())
    assert again.points(100)["reserved_bytes"] == [8, 8, 16]


def test_an_empty_one_has_no_points():
    assert timeline([]).points(10)["live_bytes"] == []


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=500), st.integers(2, 60))
def test_thinning_keeps_the_peak_the_end_and_the_order(values, max_points):
    points = timeline(values).points(max_points)
    assert len(points["live_bytes"]) <= max_points
    assert max(points["live_bytes"]) == max(values)
    assert points["live_bytes"][-1] == values[-1]
    assert points["seconds"] == sorted(set(points["seconds"]))
    assert all(
        values[int(s)] == v
        for s, v in zip(*[points[k] for k in ("seconds", "live_bytes")], strict=True)
    )
