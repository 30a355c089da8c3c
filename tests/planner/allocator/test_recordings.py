"""Beside torch's own allocator: recordings of the `libc10_cuda.so` of torch 2.13.0 (CUDA 13).

`torch_2_13.json` was recorded without a GPU, from `CUDACachingAllocator::get()` on a stand-in for
libcudart and libcuda that counts bytes against a capacity. Calls: a size is a request, `-1 - i`
frees request i (if it was served), null empties the cache; then the statistics after each call.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.allocator import AllocatorSettings, CachingAllocator

RECORDINGS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("torch_2_13.json").read_text()
)


@pytest.mark.parametrize("recording", RECORDINGS, ids=[each["conf"] for each in RECORDINGS])
def test_same_statistics_after_every_call(recording: dict[str, Any]):
    allocator = CachingAllocator(AllocatorSettings.parse(recording["conf"]), recording["capacity"])
    served = []
    found = []
    for call in recording["calls"]:
        if call is None:
            allocator.empty_cache()
        elif call >= 0:
            served.append(allocator.malloc(call))
        elif (block := served[-1 - call]) is not None:
            allocator.free(block)
        found.append(
            [
                allocator.allocated_bytes,
                allocator.reserved_bytes,
                allocator.requested_bytes,
                allocator.inactive_split_bytes,
                allocator.segments,
                allocator.num_alloc_retries,
            ]
        )
    assert found == recording["stats"]
    assert served.count(None) == recording["ooms"]
