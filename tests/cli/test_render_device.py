from __future__ import annotations

from app.cli import render_device
from planner.devices import BUILTIN, ByteRange, Calibration
from tests.cli.test_render import printed


def shown(profile):
    return printed(render_device.device(profile.model_dump(mode="json")), width=200)


def test_a_card_shows_what_it_holds_how_fast_it_is_and_what_is_not_known():
    text = shown(BUILTIN["h100-80gb"])
    assert "cuda sm_90" in text
    assert "79.19 GiB" in text
    assert "bf16 989.4" in text
    assert "3350 GB/s" in text
    assert "105.00 MiB to 1.38 GiB" in text
    assert "Note: Headroom's own benchmarks" in text
    assert "Calibrated" not in text


def test_what_was_measured_of_it_is_told_from_what_is_published():
    context = ByteRange(
        low_bytes=2**29, high_bytes=2**29, measured=True, source="measured by worker w"
    )
    calibration = {"train": Calibration(ratio=1.5, runs=4)}
    update = {"context_bytes": context, "calibration": calibration}
    text = shown(BUILTIN["h100-80gb"].model_copy(update=update))
    assert "512.00 MiB, measured by worker w" in text
    assert "train: 1.50 times the roofline (4 runs)" in text


def test_the_generic_cpu_leaves_out_what_it_has_not():
    text = shown(BUILTIN["cpu"])
    assert "the host's" in text
    assert "Multiprocessors" not in text
    assert "L2" not in text
    assert "Context" not in text


def test_an_accelerator_shows_its_memories():
    text = shown(BUILTIN["acceltran-edge"])
    assert "weight-buffer 8.00 MiB" in text
    assert "LP-DDR3 (size not known)" in text
    assert "the host's" not in text
