"""The built-in profiles hold together, and a card's own name finds its profile."""

import pytest

from planner.devices import BUILTIN, check_profile, profile_of_driver
from planner.devices.contexts import published_context

GPUS = [profile for profile in BUILTIN.values() if profile.kind == "cuda"]
MARKETED_GB = {
    "t4": 16, "v100-16gb": 16, "v100-32gb": 32, "rtx-3090": 24, "a10": 24, "a100-40gb": 40,
    "a100-80gb": 80, "rtx-4090": 24, "l4": 24, "l40s": 48, "h100-80gb": 80, "h100-80gb-pcie": 80,
    "h200": 141, "b200": 192, "rtx-5090": 32, "mi300x": 192,
}  # fmt: skip


def test_they_are_all_there():
    assert set(BUILTIN) == {"cpu", *MARKETED_GB, "acceltran-edge", "acceltran-server"}
    assert all(name == profile.name for name, profile in BUILTIN.items())


@pytest.mark.parametrize("profile", GPUS, ids=lambda profile: profile.name)
class TestEach:
    def test_says_what_a_posted_one_must(self, profile):
        assert check_profile(profile) == profile

    def test_has_a_source_and_says_that_it_was_never_tried(self, profile):
        assert profile.source
        assert profile.limitations

    def test_holds_about_what_it_is_sold_with(self, profile):
        # The driver keeps some; "GB" means 2**30 on most sheets, and 10**9 on those of HBM3e.
        share = profile.memory_bytes / (MARKETED_GB[profile.name] * 2**30)
        assert 0.9 < share <= 1.0

    def test_peaks_rise_as_dtypes_shrink(self, profile):
        peaks = profile.peak_flops
        order = ["fp64", "fp32", "tf32", "fp16", "fp8"]
        present = [peaks[key] for key in order if key in peaks]
        assert present == sorted(present)
        assert peaks.get("bf16", peaks["fp16"]) == peaks["fp16"]

    def test_memory_is_faster_than_the_link_to_the_host(self, profile):
        assert profile.memory_bandwidth_bytes_per_s > 4 * profile.host_bandwidth_bytes_per_s

    def test_the_context_is_a_range_with_a_source(self, profile):
        if profile.name == "mi300x":
            assert profile.context_bytes is None
            return
        assert profile.context_bytes == published_context(profile.architecture)
        assert 0 < profile.context_bytes.low_bytes < profile.context_bytes.high_bytes
        assert not profile.context_bytes.measured

    def test_is_found_by_each_of_its_names(self, profile):
        for name in profile.driver_names:
            assert profile_of_driver(name) == profile.name


def test_peaks_of_newer_cards_in_fp32_accumulation():
    """Hand-checked against the whitepapers: dense, accumulated in fp32."""
    assert BUILTIN["a100-80gb"].peak_flops["bf16"] == 312e12
    assert BUILTIN["h100-80gb"].peak_flops["bf16"] == pytest.approx(1978.9e12 / 2, rel=1e-3)
    # 128 multiprocessors x 4 tensor cores x 64 FMA of fp16 into fp32 a clock, at 2.52 GHz
    assert BUILTIN["rtx-4090"].peak_flops["fp16"] == pytest.approx(128 * 512 * 2.52e9, rel=1e-3)


@pytest.mark.parametrize(
    "name", ["NVIDIA A10G", "NVIDIA A100-SXM4-80GB MIG 1g.10gb", "NVIDIA L40", "", "cpu"]
)
def test_a_card_that_is_only_alike_has_no_profile(name):
    assert profile_of_driver(name) is None


def test_an_architecture_without_readings_gets_those_of_all():
    widest = published_context("sm_90")
    assert "none published" in widest.source
    for architecture in ("sm_70", "sm_75", "sm_80", "sm_86", "sm_120"):
        known = published_context(architecture)
        assert widest.low_bytes <= known.low_bytes < known.high_bytes <= widest.high_bytes
