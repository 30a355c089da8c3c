"""Our planner beside what there is, measured on this machine's CPU.

    python -m benchmarks.planner [--models gpt12,gpt24,vit,unet] [--only SUBSTRING]
        [--rows benchmarks/planner.json] [--out benchmarks/planner.md]

Rows that `--rows` holds already are not measured again; drop the file to start anew. The document
shows all rows of the file. Each measurement has a process of its own; see
`benchmarks.planner_peers` for what is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.planner_autosac import autosac
from benchmarks.planner_models import CASES
from benchmarks.planner_ours import BY_FLOPS, FUSED, OURS, ours
from benchmarks.planner_peers import THREADS, Measurement, Peer, in_child, peers
from planner.versions import versions

_MIB = 2**20
_OWN = (OURS, BY_FLOPS, FUSED)
_SHARES = (0.75, 0.5, 0.35, 0.25, 0.2, 0.15, 0.12)


@dataclass(frozen=True)
class Row:
    """A method on a model, and what came of it: a measurement, or why there is none."""

    model: str
    method: str
    budget: str
    result: Measurement | str

    @property
    def measured(self) -> Measurement | None:
        """None where the method failed."""
        return None if isinstance(self.result, str) else self.result


def methods(model: str, eager_bytes: int | None) -> list[Peer]:
    """Everything that is measured of the model; budgets in bytes follow eager mode's peak."""
    listed = peers(model, CASES[model]())
    if eager_bytes is not None:
        budgets = [int(share * eager_bytes) for share in _SHARES]
        listed += [Peer("AutoSAC, HiGHS", f"{b / _MIB:.0f} MiB", autosac(b)) for b in budgets]
    return listed + ours(model, CASES[model](), eager_bytes)


def run(model: str, rows: list[Row], only: str) -> Iterator[Row]:
    """Measure what is missing of the model."""
    known = {(row.method, row.budget) for row in rows if row.model == model}
    if ("eager", "") not in known:
        first = methods(model, None)[0]
        rows.append(Row(model, first.method, first.budget, in_child(model, first)))
        yield rows[-1]
        known.add(("eager", ""))
    for peer in methods(model, _eager(rows, model)):
        if (peer.method, peer.budget) not in known and only in f"{peer.method} {peer.budget}":
            rows.append(Row(model, peer.method, peer.budget, in_child(model, peer)))
            yield rows[-1]


def _eager(rows: list[Row], model: str) -> int | None:
    found = [row.measured for row in rows if row.model == model and row.method == "eager"]
    return found[0].peak_bytes if found and found[0] else None


HEADER = (
    "| method | budget asked | certified MiB | peak MiB | peak MiB, gradients freed | FLOPs "
    "| seconds | prepare s | solve s | gradients | note |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|"
)


def line(row: Row) -> str:
    """One row of a model's table."""
    if isinstance(row.result, str):
        return f"| {row.method} | {row.budget} | - | - | - | - | - | - | - | - | {row.result} |"
    got = row.result
    certified = "-" if got.certified_bytes is None else f"{got.certified_bytes / _MIB:.1f}"
    solved = "-" if got.solve_seconds is None else f"{got.solve_seconds:.2f}"
    return (
        f"| {row.method} | {row.budget} | {certified} | {got.peak_bytes / _MIB:.1f} "
        f"| {got.freed_bytes / _MIB:.1f} | x{got.flops / got.eager_flops:.3f} "
        f"| x{got.seconds_ratio:.2f} | {got.prepare_seconds:.1f} | {solved} "
        f"| {_gradients(got.difference)} | {got.note} |"
    )


def _gradients(difference: float) -> str:
    if difference == 0:
        return "equal"
    return f"{difference:.0e}" if difference < 1e-4 else f"**differ, {difference:.0e}**"


def dominates(one: Measurement, other: Measurement) -> bool:
    """No worse in peak and FLOPs, better in one."""
    ours_, theirs = (one.peak_bytes, one.flops), (other.peak_bytes, other.flops)
    return ours_ != theirs and all(a <= b for a, b in zip(ours_, theirs, strict=True))


def _is_right(row: Row) -> bool:
    return row.measured is not None and row.measured.difference < 1e-4


def dominance(rows: list[Row]) -> list[str]:
    """Whom each method's settings are beaten by, then what is best within each budget."""
    right = [row for row in rows if _is_right(row)]
    lines = ["Dominated (another has no higher peak and no more FLOPs, and less of one):", ""]
    for row in right:
        above = [other for other in right if dominates(other.result, row.result)]  # type: ignore[arg-type]
        if above:
            best = min(above, key=lambda other: other.measured.peak_bytes)  # type: ignore[union-attr]
            others = f" and {len(above) - 1} more" if len(above) > 1 else ""
            lines.append(f"- {_name(row)}: by {_name(best)}{others}")
    lines += ["", *_within(right)]
    return lines


def _name(row: Row) -> str:
    return f"{row.method} {row.budget}".strip()


def _within(rows: list[Row]) -> Iterator[str]:
    eager = next((row.measured for row in rows if row.method == "eager"), None)
    if eager is None:
        return
    yield "| within MiB | least FLOPs of the peers | least seconds of the peers | ours |"
    yield "|---:|---|---|---|"
    for share in _SHARES:
        limit = share * eager.peak_bytes
        fit = [row for row in rows if row.measured and row.measured.peak_bytes <= limit]
        others = [row for row in fit if row.method not in _OWN]
        own = [row for row in fit if row.method in _OWN]
        cells = [_best(others, "flops"), _best(others, "seconds_ratio"), _best(own, "flops")]
        yield f"| {limit / _MIB:.1f} | " + " | ".join(cells) + " |"


def _best(rows: list[Row], key: str) -> str:
    if not rows:
        return "none"
    row = min(rows, key=lambda row: (getattr(row.measured, key), row.measured.peak_bytes))  # type: ignore[union-attr]
    got = row.measured
    assert got is not None
    ratio = got.flops / got.eager_flops if key == "flops" else got.seconds_ratio
    return f"x{ratio:.3f} at {got.peak_bytes / _MIB:.1f}: {_name(row)}"


def load(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [_row(entry) for entry in json.loads(path.read_text())]


def _row(entry: dict[str, Any]) -> Row:
    result = entry.pop("result")
    return Row(**entry, result=result if isinstance(result, str) else Measurement(**result))


def save(path: Path, rows: list[Row]) -> None:
    path.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=0) + "\n")


def document(rows: list[Row]) -> str:
    about = ", ".join(f"{key} {value}" for key, value in versions().items())
    parts = [
        "# The planner beside what there is, CPU",
        "",
        "Made by `python -m benchmarks.planner --out benchmarks/planner.md` from the measurements "
        "in `benchmarks/planner.json`, where each row is measured once.",
        f"Versions: {about}. CPU: {_cpu()}, {THREADS} threads.",
        "",
        _METHOD,
    ]
    for model in dict.fromkeys(row.model for row in rows):
        of_model = sorted((row for row in rows if row.model == model), key=_order)
        parts += [f"## {model}: {CASES[model]().title}", "", HEADER, *map(line, of_model), ""]
        parts += [*dominance(of_model), ""]
    return "\n".join(parts)


def _order(row: Row) -> tuple[Any, ...]:
    order = [peer.method for peer in peers(row.model, CASES[row.model]())]
    return order.index(row.method) if row.method in order else len(order), row.method


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [
        text.partition(":")[2].strip()
        for text in (info.read_text().splitlines() if info.exists() else [])
        if text.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()} ({os.cpu_count()} cores, shared)"


_METHOD = """\
- *peak MiB*: most live bytes of a forward and backward, by the allocator's own reports, above
  parameters, gradients and inputs. The gradients exist (zeroed) when the step begins.
- *gradients freed*: the same after `zero_grad(set_to_none=True)`, above parameters and inputs; the
  gradients count from when backward makes them.
- *FLOPs*: matmuls and convolutions of forward and backward over eager mode's, by torch's own
  formulas. `FlopCounterMode` sees nothing of a compiled step (Dynamo skips frames under a dispatch
  mode: eager mode would be counted, or an error raised with `fullgraph=True`), so the graphs that
  inductor generates code for are counted. Torch has no formula of the CPU's fused attention; it is
  counted as CUDA's: two products forward and five backward, one of them the scores once more, where
  attention written out needs four. That alone makes x1.023 of the GPT.
- *seconds*: median step over eager mode's, three of each in turn in one process on a shared
  machine: +-20 %, single rows further off. *prepare*: planning or compiling, and the first step.
- *gradients*: equal to the bit, or the largest difference over the largest gradient.

Why `torch.compile` reaches 264 MiB of the 12-layer GPT at almost no cost: less by its budget than
by fused attention. Inductor's pattern matcher replaces this formulation of attention (`/ sqrt(d)`,
additive mask) by `scaled_dot_product_attention`, which saves q, k, v and its output, 8 MiB a block,
and no softmax, another 8; seen in the graphs after fusion: 12 calls of
`_scaled_dot_product_flash_attention_for_cpu` forward, 12 of its backward, no `bmm`. At budgets of
0.9 and 0.7 norms and GELU, which cost no matmul, are recomputed. 20 MiB a block are left: q, k and
v 6, output 2, both residuals 4, hidden 8. The scores are recomputed inside the fused backward.
Written as `* scale` or with `masked_fill` the same model is not matched: at budget 0.9 a block then
keeps 28 MiB, the scores themselves rather than the softmax, and FLOPs are x1.000 (4 layers: 136 MiB
instead of 104). Figures of x1.000 at 264 MiB leave fused attention out of the count: without its
products, budget 0 is x1.333 here too.
"""


def main() -> None:
    """Measure, print the rows as they come, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="gpt12,gpt24,vit,unet")
    parser.add_argument("--only", default="", help="only methods whose name contains this")
    parser.add_argument("--rows", type=Path, default=Path("benchmarks/planner.json"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = load(options.rows)
    for model in filter(None, options.models.split(",")):
        print(f"\n{CASES[model]().title}\n{HEADER}", flush=True)
        for row in run(model, rows, options.only):
            print(line(row), flush=True)
            save(options.rows, rows)
    if options.out:
        options.out.write_text(document(rows))


if __name__ == "__main__":
    main()
