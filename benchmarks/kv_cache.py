"""Predicted and measured bytes of one generation with every cache policy, on this machine's CPU.

    python -m benchmarks.kv_cache [--write benchmarks/kv_cache.md]

The request is examples/llama-kv-cache.json. What a dynamic cache holds after the prompt follows
from its shapes; what others hold is that and the difference of predicted bytes at the end of
prefill.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from planner.check import check
from planner.devices import BUILTIN
from planner.prediction import Phase
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace
from planner.versions import versions
from profiler.measured import MeasuredPhase
from profiler.run import measure_request

EXAMPLE = Path(__file__).parent.parent / "examples" / "llama-kv-cache.json"

# Name, the workload's cache, the strategy's policy.
CASES: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("dynamic", "dynamic", None),
    ("none", "none", None),
    ("window 256, sinks 4", "dynamic", {"kind": "window", "window": 256, "sinks": 4}),
    ("think 0.4", "dynamic", {"kind": "think", "ratio": 0.4}),
    ("think 0.5", "dynamic", {"kind": "think", "ratio": 0.5}),
    ("quantized, 8 bits", "dynamic", {"kind": "quantized", "bits": 8}),
    ("quantized, 4 bits", "dynamic", {"kind": "quantized", "bits": 4}),
    ("quantized, 2 bits", "dynamic", {"kind": "quantized", "bits": 2}),
)


def main() -> None:
    """Print the table, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    text = _page([(name, *_phases(_request(cache, policy))) for name, cache, policy in CASES])
    path = parser.parse_args().write
    if path is None:
        print(text)
    else:
        path.write_text(text)


def _request(cache: str, policy: dict[str, Any] | None) -> SimulationRequest:
    body = json.loads(EXAMPLE.read_text())
    body["workload"]["cache"] = cache
    body["strategy"]["kv_cache"] = policy
    return check(SimulationRequest.model_validate(body))


def _phases(request: SimulationRequest) -> tuple[list[Phase], list[MeasuredPhase]]:
    predicted = simulate(trace(request, BUILTIN["cpu"])).phases
    return predicted, measure_request(request, timing_budget_seconds=0.0).measured.phases


def _dynamic_bytes() -> int:
    """Keys and values of the prompt in fp32."""
    body = json.loads(EXAMPLE.read_text())
    config, workload = body["model"]["config"], body["workload"]
    head = config["hidden_size"] // config["num_attention_heads"]
    numbers = config["num_hidden_layers"] * config["num_key_value_heads"] * head
    return int(2 * 4 * numbers * workload["batch_size"] * workload["sequence_length"])


def _page(rows: list[tuple[str, list[Phase], list[MeasuredPhase]]]) -> str:
    others = rows[0][1][0].end_bytes - _dynamic_bytes()
    lines = [
        "# Generation with every cache policy, predicted and measured",
        "",
        "`python -m benchmarks.kv_cache --write benchmarks/kv_cache.md`, "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
        + ". Bytes; the difference is predicted less measured.",
        "",
        "| cache | held after the prompt | peak of prefill, predicted | difference "
        "| peak of decode, predicted | difference |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, predicted, measured in rows:
        cells = [f"{0 if name == 'none' else predicted[0].end_bytes - others:,}"]
        for ours, real in zip(predicted, measured, strict=True):
            cells += [f"{ours.peak_bytes:,}", f"{ours.peak_bytes - real.peak_bytes:+,}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
