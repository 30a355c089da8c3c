"""What a prediction says of its device, on a tape made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from planner.devices import ByteRange, Calibration, DeviceProfile
from planner.predict import device_bytes, predict
from tests.planner.tapes import tape_of

CONTEXT = ByteRange(low_bytes=100, high_bytes=300, source="a reading")
DEVICE = DeviceProfile(
    name="card", op_overhead_s=0.5, context_bytes=CONTEXT, limitations=["never tried"]
)


@pytest.fixture
def tape():
    return tape_of([0, ~0], [64], op_events=[0, 1])


def test_seconds_are_the_rooflines_where_nothing_was_measured(tape):
    found = predict(tape, DEVICE)
    assert found.step_seconds == found.roofline_seconds == 1.0
    assert (found.step_seconds_basis, found.step_seconds_runs) == ("roofline", 0)


def test_a_calibration_scales_the_seconds_of_its_mode_and_leaves_the_roofline(tape):
    measured = {"train": Calibration(ratio=2.5, runs=7)}
    device = DEVICE.model_copy(update={"calibration": measured})
    found = predict(tape, device, "train")
    assert (found.step_seconds, found.roofline_seconds) == (2.5, 1.0)
    assert (found.step_seconds_basis, found.step_seconds_runs) == ("calibrated", 7)
    assert predict(tape, device, "inference").step_seconds_basis == "roofline"


def test_what_is_not_known_of_the_device_is_said(tape):
    found = predict(tape, DEVICE)
    assert found.limitations == ["never tried"]
    assert found.context_bytes == CONTEXT


def test_the_driver_shows_the_allocators_segments_and_the_context(tape):
    found = predict(replace(tape, reserved_bytes=np.array([2048, 1024])), DEVICE)
    assert (found.reserved_bytes, found.device_bytes) == (2048, 2348)


def test_what_is_unknown_stays_unknown(tape):
    assert predict(tape, DEVICE).device_bytes is None
    assert device_bytes(2048, None) is None
