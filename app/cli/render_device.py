"""What people see of a device profile."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.render import bytes_text


def device(found: dict[str, Any]) -> RenderableType:
    """One profile: what it holds, how fast it is, what was measured, and what is not known."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    for name, value in _rows(found):
        if value:
            table.add_row(name, value)
    notes = [Text(f"Note: {note}", style="yellow") for note in found["limitations"]]
    return Group(Text(found["name"], style="bold"), table, *notes)


def _rows(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    peaks = ", ".join(f"{key} {peak / 1e12:g}" for key, peak in found["peak_flops"].items())
    return [
        ("Kind", " ".join(filter(None, (found["kind"], found["architecture"])))),
        ("Memory", _bytes(found["memory_bytes"]) or _tiers(found) or "the host's"),
        ("Context", _context(found["context_bytes"])),
        ("Multiprocessors", str(found["multiprocessors"] or "")),
        ("L2 cache", _bytes(found["l2_cache_bytes"])),
        ("Memory bandwidth", _rate(found["memory_bandwidth_bytes_per_s"])),
        ("To the host, each way", _rate(found["host_bandwidth_bytes_per_s"])),
        ("Peak TFLOP/s", peaks),
        ("Calibrated", _calibration(found["calibration"])),
        ("Numbers from", found["source"]),
    ]


def _tiers(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{tier['name']} {_bytes(tier['capacity_bytes']) or '(size not known)'}"
        for tier in found["tiers"]
    )


def _context(found: dict[str, Any] | None) -> str | None:
    if found is None:
        return None
    if found["measured"]:
        return f"{bytes_text(found['high_bytes'])}, {found['source']}"
    bounds = (bytes_text(found["low_bytes"]), bytes_text(found["high_bytes"]))
    return f"{' to '.join(bounds)}, {found['source']}"


def _bytes(count: int | None) -> str | None:
    return None if count is None else bytes_text(count)


def _rate(bytes_per_s: float | None) -> str | None:
    return None if bytes_per_s is None else f"{bytes_per_s / 1e9:g} GB/s"


def _calibration(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{mode}: {each['ratio']:.2f} times the roofline ({each['runs']} runs)"
        for mode, each in found.items()
    )
