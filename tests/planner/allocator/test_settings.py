"""The settings' grammar and limits, beside torch's own parser; rounding and segment sizes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planner.allocator import AllocatorSettings

MIB = 1 << 20


@pytest.fixture(autouse=True)
def torch_settings_by_default() -> Iterator[None]:
    """Torch keeps the segment size of one call for the next, so it is always named."""
    torch._C._accelerator_setAllocatorSettings("large_segment_size_mb:20")
    yield
    torch._C._accelerator_setAllocatorSettings("large_segment_size_mb:20")


GOOD = [
    "",
    "max_split_size_mb:128,expandable_segments:True",
    " max_split_size_mb : 40 , garbage_collection_threshold : 0.5 ",
    "max_split_size_mb:20",
    "large_segment_size_mb:11,max_split_size_mb:12",
    "max_split_size_mb:12,large_segment_size_mb:11",
    "max_non_split_rounding_mb:30",
    "roundup_power2_divisions:4",
    "roundup_power2_divisions:[256:1,512:2,1024:4,>:8]",
    "roundup_power2_divisions:[64:8,128:2]",
    "roundup_power2_divisions:[>:4]",
    "roundup_power2_divisions:[]",
    "pinned_use_background_threads:True",
    "pinned_max_cached_size_mb:64",
]
BAD = [
    "max_split_size_mb:2",
    "max_split_size_mb:19",
    "max_non_split_rounding_mb:1",
    "large_segment_size_mb:10",
    "large_segment_size_mb:64,max_split_size_mb:32",
    "garbage_collection_threshold:1.2",
    "garbage_collection_threshold:0",
    "garbage_collection_threshold:none",
    "roundup_power2_divisions:3",
    "roundup_power2_divisions:[64:3]",
    "roundup_power2_divisions:[48:2]",
    "expandable_segments:yes",
    "max_split_size_mb:many",
]


@pytest.mark.parametrize("text", GOOD)
def test_takes_what_torch_takes(text: str):
    torch._C._accelerator_setAllocatorSettings(text)
    AllocatorSettings.parse(text)


@pytest.mark.parametrize("text", BAD)
def test_refuses_what_torch_refuses(text: str):
    with pytest.raises(ValueError) as theirs:  # noqa: PT011
        torch._C._accelerator_setAllocatorSettings(text)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        AllocatorSettings.parse(text)
    said = str(theirs.value).splitlines()[0].strip()
    if said not in ("stoull", "stod") and "ConfigTokenizer" not in said:
        assert said in str(ours.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo:1,bar:2", "Unrecognized key 'foo' in CUDA allocator config"),
        ("backend:cudaMallocAsync", "only native is simulated"),
        ("backend:other", "Unknown allocator backend"),
        ("per_process_memory_fraction:1.1", "per_process_memory_fraction is invalid"),
        ("pinned_num_register_threads:3", "has to be power of 2, got 3"),
        ("pinned_num_register_threads:1024", "less than or equal to 128"),
        ("throw_on_cudamalloc_oom:maybe", "Expected 'True' or 'False'"),
        ("release_lock_on_cudamalloc:none", "Expected 'True' or 'False'"),
        ("max_split_size_mb", "Expected ':'"),
        ("max_split_size_mb:", "Expected a value"),
        ("max_split_size_mb:40 expandable_segments:True", "Expected a number"),
        ("roundup_power2_divisions:[64:8", "Expected closing bracket"),
    ],
)
def test_refuses_with_a_reason(text: str, message: str):
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        AllocatorSettings.parse(text)


def test_keeps_what_decides():
    settings = AllocatorSettings.parse(
        "backend:native,max_split_size_mb:128,garbage_collection_threshold:0.8,"
        "expandable_segments:True,per_process_memory_fraction:0.9,pinned_num_register_threads:8"
    )
    assert settings == AllocatorSettings(
        max_split_size_mb=128,
        garbage_collection_threshold=0.8,
        expandable_segments=True,
        per_process_memory_fraction=0.9,
    )


def test_divisions_by_interval():
    """The example of torch's notes on CUDA: 1 division below 512 MiB, ... 8 from 2 GiB on."""
    text = "roundup_power2_divisions:[256:1,512:2,1024:4,>:8]"
    divisions = AllocatorSettings.parse(text).roundup_power2_divisions
    assert divisions == (1,) * 9 + (2, 4) + (8,) * 5


@pytest.mark.parametrize(
    ("requested", "rounded"),
    [(1, 512), (512, 512), (513, 1024), (1024, 1024), (MIB + 1, MIB + 512)],
)
def test_rounds_to_512(requested: int, rounded: int):
    assert AllocatorSettings().rounded(requested) == rounded


@pytest.mark.parametrize(
    ("requested", "rounded"),
    [(1200, 1536), (2049, 2560), (5_000_000, 5 * MIB), (8 * MIB, 8 * MIB), (8 * MIB + 1, 10 * MIB)],
)
def test_rounds_to_parts_of_a_power_of_two(requested: int, rounded: int):
    """Four parts, but only above 4 x 512 bytes: torch rounds 1200 to 512s."""
    assert AllocatorSettings.parse("roundup_power2_divisions:4").rounded(requested) == rounded


@given(st.integers(1, 1 << 40), st.integers(0, 6))
def test_rounding_is_tight(requested: int, power: int):
    settings = AllocatorSettings(roundup_power2_divisions=(1 << power,) * 16)
    rounded = settings.rounded(requested)
    assert rounded >= requested
    assert rounded % 512 == 0
    slack = max(512, (1 << (requested.bit_length() - 1)) >> power) if power else 512
    assert rounded - requested < slack
    assert settings.rounded(rounded) == rounded


@pytest.mark.parametrize(
    ("block", "segment"),
    [
        (512, 2 * MIB),
        (MIB, 2 * MIB),
        (MIB + 512, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (10 * MIB + 512, 12 * MIB),
        (21 * MIB, 22 * MIB),
    ],
)
def test_segment_sizes(block: int, segment: int):
    assert AllocatorSettings().segment_bytes(block) == segment


def test_segment_size_may_be_set():
    settings = AllocatorSettings.parse("large_segment_size_mb:64")
    assert settings.segment_bytes(2 * MIB) == 64 * MIB
    assert settings.segment_bytes(512) == 2 * MIB
    assert settings.max_non_split_rounding_bytes == 64 * MIB
