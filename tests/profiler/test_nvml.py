"""Cards as the driver shows them, through a stand-in for its library."""

from __future__ import annotations

import pytest

from profiler import labels, nvml
from tests.profiler.fake_nvml import MIB, Card, FakeNvml

H100 = Card("GPU-aaaa-1", processes={7: 500 * MIB, 8: None})
T4 = Card("GPU-bbbb-2", "Tesla T4", (7, 5), 15_360 * MIB, mig=None)
DIVIDED = Card("GPU-cccc-3", "NVIDIA A100-SXM4-40GB", (8, 0), mig=1)


@pytest.fixture
def driver(monkeypatch):
    fake = FakeNvml(H100, T4, DIVIDED)
    monkeypatch.setattr(nvml, "pynvml", fake)
    yield fake
    assert fake.sessions == 0, "every session is ended"


def test_cards_are_described_and_divided_ones_left_out(driver):
    first, second = nvml.gpus()
    assert (first.index, first.uuid, first.name) == (0, "GPU-aaaa-1", "NVIDIA H100 80GB HBM3")
    assert (first.architecture, second.architecture) == ("sm_90", "sm_75")
    assert first.memory_bytes == 81_559 * MIB
    assert first.driver == "580.105.08"


def test_a_process_is_charged_what_the_driver_tells(driver):
    assert nvml.process_bytes("GPU-aaaa-1", 7) == 500 * MIB
    assert nvml.process_bytes("GPU-aaaa-1", 8) is None
    assert nvml.process_bytes("GPU-aaaa-1", 9) is None
    assert nvml.process_bytes("GPU-none", 7) is None
    assert nvml.used_bytes()["GPU-bbbb-2"] == 4 * MIB


@pytest.mark.parametrize("library", [None, FakeNvml()], ids=["no package", "no driver"])
def test_without_the_package_or_the_driver_there_are_no_cards(monkeypatch, library):
    monkeypatch.setattr(nvml, "pynvml", library)
    assert nvml.gpus() == []
    assert nvml.used_bytes() == {}
    assert nvml.process_bytes("GPU-aaaa-1", 7) is None


@pytest.mark.parametrize(
    ("setting", "uuids"),
    [
        (None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("", []),
        ("1", ["GPU-bbbb-2"]),
        ("1,0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        ("GPU-aaaa", ["GPU-aaaa-1"]),
        ("0,-1,1", ["GPU-aaaa-1"]),
        ("0,0", ["GPU-aaaa-1"]),
        ("GPU-", []),  # names both
        ("5", []),
    ],
)
def test_the_setting_of_cuda_decides_which_are_seen(driver, setting, uuids):
    assert [card.uuid for card in nvml.visible(nvml.gpus(), setting)] == uuids


def test_a_card_is_labelled_with_what_it_is_and_the_profile_that_describes_it(driver):
    assert labels.card_labels(nvml.gpus()[0]) == {
        "device": "cuda",
        "device_name": "NVIDIA H100 80GB HBM3",
        "architecture": "sm_90",
        "profile": "h100-80gb",
    }


def test_a_card_without_a_profile_has_no_such_label(monkeypatch):
    monkeypatch.setattr(nvml, "pynvml", FakeNvml(Card("GPU-1", "NVIDIA Abacus")))
    assert "profile" not in labels.card_labels(nvml.gpus()[0])
