import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.tape import Category, Tape
from tests.planner.tapes import check_tape, tape_of


@st.composite
def lifetimes(draw):
    """Random births and deaths in a legal order, with ops at random events."""
    sizes = draw(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=30))
    events, unborn, alive = [], list(range(len(sizes))), []
    while unborn:
        if alive and draw(st.booleans()):
            events.append(~alive.pop(draw(st.integers(0, len(alive) - 1))))
        else:
            alive.append(unborn.pop(0))
            events.append(alive[-1])
    ops = sorted(draw(st.lists(st.integers(0, len(events)), max_size=10)))
    return tape_of(events, sizes, op_events=ops)


def test_live_bytes_are_the_running_sum():
    tape = tape_of([0, 1, ~0, 2, ~1], [10, 20, 5])
    assert tape.live_bytes.tolist() == [10, 30, 20, 25, 5]
    assert tape.alive_at(1).tolist() == [0, 1]
    assert tape.alive_at(4).tolist() == [2]
    assert tape.births.tolist() == [0, 1, 3]
    assert tape.deaths.tolist() == [2, 4, 5]


@given(lifetimes())
def test_alive_storages_explain_every_level(tape):
    check_tape(tape)
    for event, level in enumerate(tape.live_bytes):
        assert tape.storage_bytes[tape.alive_at(event)].sum() == level


@given(lifetimes(), st.data())
def test_scratch_raises_only_its_own_ops(tape, data):
    count = tape.op_count
    pairs = [
        (op, data.draw(st.integers(1, 1 << 30))) for op in range(count) if data.draw(st.booleans())
    ]
    scratched = tape.with_scratch(pairs)
    check_tape(scratched)
    assert len(scratched.events) == len(tape.events) + 2 * len(pairs)
    untouched = scratched.events[
        [
            e < len(tape.storage_bytes) and ~e < len(tape.storage_bytes)
            for e in scratched.events.tolist()
        ]
    ]
    assert untouched.tolist() == tape.events.tolist()
    assert scratched.live_bytes[-1] == tape.live_bytes[-1]
    assert scratched.live_bytes.max() <= tape.live_bytes.max() + max(
        (s for _, s in pairs), default=0
    )


def test_scratch_lives_beside_the_outputs_of_its_op():
    # op 0 makes storage 1 (event 1); storage 0 dies after it.
    tape = tape_of([0, 1, ~0, 2], [10, 20, 1], op_events=[1, 3]).with_scratch([(0, 100)])
    assert tape.live_bytes.tolist() == [10, 110, 130, 30, 20, 21]
    assert tape.op_event.tolist() == [1, 5]
    assert Category(tape.storage_category[-1]) is Category.workspace


@given(lifetimes())
def test_a_file_gives_the_tape_back(tape):
    again = Tape.load(tape.to_bytes())
    assert again.phases == tape.phases
    assert again.names == tape.names
    for column in ("events", "storage_bytes", "op_event", "phase_events", "storage_category"):
        assert np.array_equal(getattr(again, column), getattr(tape, column))


def test_saved_and_loaded_by_path(tmp_path):
    tape = tape_of([0], [8])
    tape.save(tmp_path / "step.tape")
    assert Tape.load(tmp_path / "step.tape").live_bytes.tolist() == [8]


def test_another_format_is_refused(monkeypatch):
    monkeypatch.setattr("planner.tape.FORMAT", 999)
    data = tape_of([0], [8]).to_bytes()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format"):
        Tape.load(data)
