"""Tapes made by hand, as a card of a few MiB serves them."""

import pytest

from planner.device_memory import capacity_bytes, served
from planner.devices import ByteRange, DeviceProfile
from planner.predict import predict
from planner.simulation import simulate, timeline
from planner.tape import Tape
from tests.planner.tapes import tape_of

MIB = 2**20
CONTEXT = ByteRange(low_bytes=2 * MIB, high_bytes=6 * MIB, source="a reading")


def card(mib):
    return DeviceProfile(
        name="card", kind="cuda", architecture="sm_90", memory_bytes=mib * MIB,
        multiprocessors=1, context_bytes=CONTEXT,
    )  # fmt: skip


@pytest.fixture
def tape():
    """Two tensors of 1 and 12 MiB and one byte, in forward; the large one dies in backward."""
    return tape_of(
        [0, 1, 2, ~1],
        [MIB, 12 * MIB, 1],
        op_events=[0, 1, 2],
        phases={"step0.forward": (0, 3), "step0.backward": (3, 4)},
    )


def test_live_bytes_are_those_of_the_allocators_blocks(tape):
    found = served(tape, card(64))
    assert found.live_bytes.tolist() == [MIB, 13 * MIB, 13 * MIB + 512, MIB + 512]
    # 2 MiB of small blocks hold the first and the last; 12 MiB are a segment of their own.
    assert found.reserved_bytes.tolist() == [2 * MIB, 14 * MIB, 14 * MIB, 14 * MIB]
    prediction = simulate(found)
    assert sum(prediction.at_peak.model_dump().values()) == prediction.peak_bytes
    assert [phase.reserved_bytes for phase in prediction.phases] == [14 * MIB, 14 * MIB]
    assert timeline(found)["reserved_bytes"] == found.reserved_bytes.tolist()


@pytest.mark.parametrize(("mib", "fits"), [(20, True), (19, None), (15, False)])
def test_whether_it_fits_may_depend_on_the_context(tape, mib, fits):
    prediction = predict(served(tape, card(mib)), card(mib))
    assert prediction.fits is fits
    assert prediction.reserved_bytes == 14 * MIB
    assert (prediction.out_of_memory is None) == (fits is True)
    assert any("context takes" in each for each in prediction.limitations) == (fits is None)


def test_running_out_says_where_and_how_memory_was_used(tape):
    prediction = predict(served(tape, card(17)), card(17))
    failed = prediction.out_of_memory
    assert failed is not None
    assert failed.phase == "step0.forward"
    assert failed.requested_bytes == 12 * MIB
    assert failed.allocated_bytes == MIB
    assert failed.reserved_bytes == 2 * MIB
    assert failed.free_bytes == 9 * MIB


def test_a_context_larger_than_the_card_leaves_nothing():
    assert capacity_bytes(card(4), most_context=True) == 0
    assert capacity_bytes(card(4), most_context=False) == 2 * MIB


def test_a_stored_tape_keeps_what_was_reserved(tape):
    found = served(tape, card(64))
    again = Tape.load(found.to_bytes())
    assert again.reserved_bytes.tolist() == found.reserved_bytes.tolist()
    assert Tape.load(tape.to_bytes()).reserved_bytes is None


def test_the_profile_says_how_the_allocator_is_set(tape):
    device = card(64).model_copy(update={"allocator": "expandable_segments:True"})
    # Pages of 2 MiB for the small ones, of 20 MiB for the large one.
    assert served(tape, device).reserved_bytes.tolist() == [2 * MIB, 22 * MIB, 22 * MIB, 22 * MIB]
