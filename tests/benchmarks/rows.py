"""Rows of the CUDA suite made by hand."""

from __future__ import annotations

from typing import Any

MIB = 2**20
PHASE = "step0.forward"


def predicted(
    allocated: int = 100 * MIB,
    reserved: int = 120 * MIB,
    *,
    held: list[tuple[int, int, str]] | None = None,
    fits: bool | None = True,
) -> dict[str, Any]:
    """The predicted column of one phase."""
    missing = {"phase": PHASE, "requested_bytes": 3 * MIB}
    return {
        "status": "succeeded",
        "seconds": 1.0,
        "prediction": {
            "peak_bytes": allocated,
            "reserved_bytes": reserved,
            "device_bytes": reserved + 500 * MIB,
            "phases": [{"name": PHASE, "peak_bytes": allocated, "reserved_bytes": reserved}],
            "parameter_count": 1000,
            "fits": fits,
            "out_of_memory": None if fits else missing,
        },
        "held": {PHASE: held or []},
    }


def measured(
    allocated: int = 100 * MIB,
    reserved: int = 120 * MIB,
    *,
    held: list[tuple[int, int, str]] | None = None,
    replayed: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """The measured column of one phase."""
    column = {
        "status": "succeeded",
        "seconds": 1.0,
        "measured": {
            "peak_bytes": allocated,
            "reserved_bytes": reserved,
            "device_bytes": None,
            "phases": [{"name": PHASE, "peak_bytes": allocated, "reserved_bytes": reserved}],
        },
    }
    if replayed is not None:
        counts = {"allocated_bytes": replayed[0], "reserved_bytes": replayed[1]}
        column |= {"replayed": {PHASE: counts}, "held": {PHASE: held or []}}
    return column


def row(name: str = "toy", **columns: Any) -> dict[str, Any]:
    """A row with these columns."""
    return {"name": name, "body": {}, **columns}


OUT_OF_MEMORY = {"status": "out_of_memory", "seconds": 1.0, "error": "refused", "phase": PHASE}
FAILED = {"status": "failed", "seconds": 1.0, "error": "ValueError: no", "phase": None}
SKIPPED = {"status": "skipped", "error": "no time was left"}

HEADER: dict[str, Any] = {
    "versions": {"torch": "2.13.0+cpu"},
    "context": {"bare_bytes": 300 * MIB, "context_bytes": 500 * MIB},
    "environment": {
        "versions": {"torch": "2.13.0+cu130", "transformers": "5.23.0", "peft": "0.21.2"},
        "settings": {},
        "backends": {"flash_sdp": True},
        "device": {
            "name": "NVIDIA H100 80GB HBM3",
            "memory_bytes": 85_027_979_264,
            "multiprocessors": 132,
            "compute_capability": "9.0",
            "driver": "580.1",
            "cuda": "13.0",
            "cudnn": 91501,
            "allocator_backend": "native",
        },
    },
}
