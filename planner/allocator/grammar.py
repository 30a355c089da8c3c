"""The grammar of `PYTORCH_ALLOC_CONF`: `key:value,key:[value,value]`, spaces ignored.

Follows torch 2.13's parsers (`ConfigTokenizer` of `c10/core/AllocatorConfig.h`,
`c10/core/AllocatorConfig.cpp`, `c10/cuda/CUDAAllocatorConfig.cpp`), but is strict where those read
on past a wrong separator or a number's trailing letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

ROUNDUP_INTERVALS = 16  # kRoundUpPowerOfTwoIntervals: sizes below 2 MiB, 4 MiB, ... from 32 GiB
MAX_REGISTER_THREADS = 128  # CUDAAllocatorConfig::pinned_max_register_threads


def parse_settings(text: str) -> dict[str, Any]:
    """The settings that matter to the device, by name; all keys and values are checked.

    Raises:
        ValueError: not of the grammar, an unknown key, or a value of the wrong kind.
    """
    tokens = [token for token in re.split(r"([,:\[\]])", re.sub(r"\s", "", text)) if token]
    settings: dict[str, Any] = {}
    while tokens:
        key = tokens.pop(0)
        if key not in _VALUES:
            raise ValueError(f"Unrecognized key '{key}' in CUDA allocator config.")
        _expect(tokens, ":", after=key)
        value = _VALUES[key](key, _value(tokens, key))
        if key in _KEPT:
            settings[key] = value
        if tokens:
            _expect(tokens, ",", after=f"{key}'s value")
    return settings


def _expect(tokens: list[str], wanted: str, after: str) -> None:
    found = tokens.pop(0) if tokens else "the end"
    if found != wanted:
        raise ValueError(f"Expected '{wanted}' after {after} but got '{found}'")


def _value(tokens: list[str], key: str) -> list[str]:
    """The tokens of one value: a single one, or those of a list with its brackets."""
    if not tokens:
        raise ValueError(f"Expected a value for {key} but got the end")
    if tokens[0] != "[":
        return [tokens.pop(0)]
    if "]" not in tokens:
        raise ValueError(
            "Expected closing bracket ']' in ConfigTokenizer but reached end of config"
        )
    length = tokens.index("]") + 1
    value, tokens[:] = tokens[:length], tokens[length:]
    return value


def _single(key: str, value: list[str]) -> str:
    if len(value) != 1:
        raise ValueError(f"Expected a single value for {key} but got a list")
    return value[0]


def _integer(key: str, value: list[str]) -> int:
    token = _single(key, value)
    if not re.fullmatch(r"[0-9]+", token):
        raise ValueError(f"Expected a number for {key} but got '{token}'")
    return int(token)


def _number(key: str, value: list[str]) -> float:
    token = _single(key, value)
    try:
        return float(token)
    except ValueError:
        raise ValueError(f"Expected a number for {key} but got '{token}'") from None


def _threshold(key: str, value: list[str]) -> float:
    number = _number(key, value)
    if not 0 < number < 1:
        raise ValueError("garbage_collect_threshold is invalid, set it in (0.0, 1.0)")
    return number


def _flag(key: str, value: list[str]) -> bool:
    token = _single(key, value)
    if token not in ("True", "False"):
        raise ValueError(f"Expected 'True' or 'False' for {key} but got '{token}'")
    return token == "True"


def _backend(key: str, value: list[str]) -> str:
    token = _single(key, value)
    if token == "cudaMallocAsync":
        raise ValueError("backend cudaMallocAsync is CUDA's own pool: only native is simulated")
    if token != "native":
        raise ValueError("Unknown allocator backend, options are native and cudaMallocAsync")
    return token


def _threads(key: str, value: list[str]) -> int:
    number = _integer(key, value)
    if number == 0 or number & (number - 1):
        raise ValueError(f"Number of register threads has to be power of 2, got {number}")
    if number > MAX_REGISTER_THREADS:
        raise ValueError(
            "Number of register threads should be less than or equal to "
            f"{MAX_REGISTER_THREADS}, got {number}"
        )
    return number


def _divisions(key: str, value: list[str]) -> tuple[int, ...]:
    """Divisions by interval: `4`, or `[256:1,512:2,>:8]` where a boundary is in MiB.

    The first boundary's divisions hold for smaller sizes too, `>` for all larger ones; intervals
    that no boundary names keep 0.
    """
    if len(value) == 1:
        single = _integer(key, value)
        if single == 0 or single & (single - 1):
            raise ValueError("For roundups, the divisions has to be power of 2")
        return (single,) * ROUNDUP_INTERVALS
    divisions = [0] * ROUNDUP_INTERVALS
    last: int | None = None
    for entry in filter(None, "".join(value[1:-1]).split(",")):
        boundary, _, count = entry.partition(":")
        number = _integer(key, [count])
        if boundary == ">":
            start = (last or 0) + 1
            divisions[start:] = [number] * (ROUNDUP_INTERVALS - start)
            continue
        size = _integer(key, [boundary])
        if size == 0 or size & (size - 1):
            raise ValueError("For roundups, the intervals have to be power of 2")
        index = min(size.bit_length() - 1, ROUNDUP_INTERVALS - 1)
        if last is None:
            divisions[:index] = [number] * index
        divisions[index], last = number, index
    return tuple(divisions)


_KEPT: dict[str, Callable[[str, list[str]], Any]] = {
    "max_split_size_mb": _integer,
    "max_non_split_rounding_mb": _integer,
    "large_segment_size_mb": _integer,
    "roundup_power2_divisions": _divisions,
    "garbage_collection_threshold": _threshold,
    "expandable_segments": _flag,
    "per_process_memory_fraction": _number,
    "throw_on_cudamalloc_oom": _flag,
}
_VALUES = _KEPT | {
    "backend": _backend,
    "release_lock_on_cudamalloc": _flag,
    "release_lock_on_hipmalloc": _flag,
    "graph_capture_record_stream_reuse": _flag,
    "pinned_use_background_threads": _flag,
    "pinned_use_cuda_host_register": _flag,
    "pinned_use_hip_host_register": _flag,
    "pinned_num_register_threads": _threads,
    "pinned_reserve_segment_size_mb": _integer,
    "pinned_free_catch_all": _flag,
    "pinned_max_round_threshold_mb": _integer,
    "pinned_max_cached_size_mb": _integer,
}
