"""Every system beside its paper: published, simulated and measured, and what it really saves.

    python -m benchmarks.systems [--only SUBSTRING] [--write benchmarks/systems.md]

Each small description is predicted and run on this machine's CPU; each larger one is predicted
beside the same network with plain attention, eager and fused (SDPA). Each number comes from a
process of its own.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.accuracy_cpu import in_child, measured, predicted
from benchmarks.systems_list import SYSTEMS
from benchmarks.systems_rows import Figure, System
from planner.versions import versions

MIB = 2**20


def row(system: System) -> dict[str, Any]:
    """All that is known of one system."""
    return {
        "name": system.name,
        "source": system.source,
        "truth": system.truth,
        "small": {
            "predicted": _bytes(in_child(partial(predicted, system.small), 300)),
            "measured": _bytes(in_child(partial(measured, system.small), 600)),
        },
        "large": {
            name: _bytes(in_child(partial(predicted, case), 300))
            for name, case in system.compared().items()
        },
        "figures": [_figure(figure) for figure in system.figures],
    }


def _bytes(answer: Any) -> int | str:
    return answer if isinstance(answer, str) else answer[0]


def _figure(figure: Figure) -> dict[str, Any]:
    answer = in_child(figure.simulate, 300)
    return {
        "what": figure.what,
        "published": figure.published,
        "unit": figure.unit,
        "simulated": answer if isinstance(answer, str) else answer[0],
    }


HEADER = (
    "| system | small, predicted bytes | measured bytes | error "
    "| large MiB | with eager attention | with SDPA | published | simulated |\n"
    "|---|---:|---:|---:|---:|---:|---:|---|---|"
)


def line(found: dict[str, Any]) -> str:
    """One row of the table."""
    small, large = found["small"], found["large"]
    cells = [
        found["name"],
        _count(small["predicted"]),
        _count(small["measured"]),
        _error(small["predicted"], small["measured"]),
        *(_mib(large.get(name)) for name in ("this", "eager", "sdpa")),
        "<br>".join(f"{f['what']}: {f['published']:,.7g} {f['unit']}" for f in found["figures"]),
        "<br>".join(_number(f) for f in found["figures"]),
    ]
    return f"| {' | '.join(cells)} |"


def _count(value: int | str) -> str:
    return value[:60].replace("|", "/") if isinstance(value, str) else f"{value:,}"


def _error(ours: int | str, real: int | str) -> str:
    if isinstance(ours, str) or isinstance(real, str):
        return "-"
    return f"{ours / real - 1:+.4%}"


def _mib(value: int | str | None) -> str:
    if value is None:
        return "-"
    return value[:60].replace("|", "/") if isinstance(value, str) else f"{value / MIB:,.1f}"


def _number(figure: dict[str, Any]) -> str:
    simulated = figure["simulated"]
    if isinstance(simulated, str):
        return simulated[:60].replace("|", "/")
    return f"{simulated:,.7g} {figure['unit']} ({simulated / figure['published'] - 1:+.1%})"


def document(rows: list[dict[str, Any]]) -> str:
    """The page with both tables."""
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    sizes = {system.name: system.size() for system in SYSTEMS}
    truths = [f"| {r['name']} | {r['source']} | {sizes[r['name']]} | {r['truth']} |" for r in rows]
    return "\n".join(
        [
            "# Every system beside its paper",
            "",
            f"Made by `python -m benchmarks.systems --write benchmarks/systems.md`; {used}.",
            "",
            "*Small* is the preset (or the example named), one real run of it on the CPU. *Large*"
            " is predicted for the CPU, as the second table says (SGD, if no other optimizer is the"
            " system), beside the same network with plain attention (and, where the system is no"
            " attention, without it)."
            " Where attention drops probabilities, SDPA has no fused kernel on a CPU, and both"
            " columns are alike. Published numbers come from other hardware and other code; the"
            " column beside them is"
            " the same quantity, simulated.",
            "",
            HEADER,
            *(line(r) for r in rows),
            "",
            "## What each saves, and what it does not",
            "",
            "| system | source | large | |",
            "|---|---|---|---|",
            *truths,
            "",
        ]
    )


def main() -> None:
    """Run the systems, print the table as it grows, write it on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only systems whose name contains this")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--json", type=Path, help="also keep the raw rows")
    options = parser.parse_args()
    import torch  # noqa: F401  (imported once, before the forks)
    import transformers  # noqa: F401

    print(HEADER, flush=True)
    rows = []
    for system in SYSTEMS:
        if options.only.lower() in system.name.lower():
            rows.append(row(system))
            print(line(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows))
    if options.write:
        options.write.write_text(document(rows))


if __name__ == "__main__":
    main()
