"""PyTorch's AutoSAC without CUDA, pulp and pwlf: its statistics and programs, its plan applied.

* Memory of each module: its own `MemTracker` under fake tensors, aggregated by its own
  `aggregate_stats` formulas (torch/distributed/_tools/ilp_utils.py).
* Operators of each module: its own `SACEstimator` (sac_estimator.py); only the time of an operator
  is ours, a roofline, because theirs asserts CUDA.
* Trade-off curve: two continuous segments by least squares, as pwlf fits them.
* Which modules, how much: the program of `sac_milp` (sac_ilp.py), constraint by constraint, solved
  by HiGHS to its gap of 5 %. Gradients count whole at every module, as in the measured step.
* Which operators: the program of `get_optimal_checkpointing_policy_per_module`, likewise.

Nothing in torch applies such a plan. Here each chosen module is wrapped in torch's selective
checkpoint, with a policy by the number of the call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker, _MemRefType, _ModState
from torch.distributed._tools.sac_estimator import OPS_TO_ALWAYS_SKIP, SACEstimator, SACStats
from torch.utils.checkpoint import CheckpointPolicy

from benchmarks.planner_models import Case, Inputs
from benchmarks.planner_peers import FORMULAS, Apply, Loss, Step, recompute

_CPU = torch.device("cpu")
_FLOPS_PER_MS = 100e6  # of this kind of machine's two cores; only the ratio to the next matters
_BYTES_PER_MS = 10e6
_MIB = 2**20
_GAP = 0.05  # theirs
_SECONDS = 180.0  # theirs


@dataclass(frozen=True)
class Module:
    """What the program knows of a module, in MiB and ms; names as in torch's `ModStats`."""

    path: str
    is_leaf: bool
    act_fw: float
    act_grad: float
    act_total: float
    sac_memory: float = 0.0
    sac_runtime: float = 0.0
    segments: tuple[tuple[float, float], ...] = ()
    operators: SACStats | None = None


def statistics(case: Case) -> tuple[list[Module], list[str]]:
    """Modules in the order of forward's begin, and their paths in the order of forward's end.

    A model of the case's own, of fake tensors, runs for them.
    """
    memory = MemTracker()
    operators = SACEstimator()
    operators._estimate_runtime = _roofline
    with FakeTensorMode():
        fake = case.build()
        arguments = case.inputs()
        memory.track_external(fake, *arguments.values())
        with memory:
            fake(**arguments).backward()
        with operators:
            fake(**arguments)
        before, after = _orders(fake, arguments)
    by_path = {stats.mod_fqn: stats for stats in memory.memory_tracking.values()}
    prefix = type(fake).__name__
    found = [
        _module(path, by_path[_full(prefix, path)], operators, _full(prefix, path))
        for path in before
    ]
    return found, after


def _full(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if path else prefix


def _orders(model: nn.Module, arguments: dict[str, Any]) -> tuple[list[str], list[str]]:
    before: list[str] = []
    after: list[str] = []
    hooks = []
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, path=path: before.append(path)))
        hooks.append(module.register_forward_hook(lambda *_, path=path: after.append(path)))
    model(**arguments)
    for hook in hooks:
        hook.remove()
    return before, after


def _roofline(func: Any, args: Any, kwargs: Any) -> tuple[Any, float]:
    out = func(*args, **(kwargs or {}))
    tensors = [t for t in torch.utils._pytree.tree_leaves((args, kwargs, out)) if _is_tensor(t)]
    moved = sum(tensor.numel() * tensor.itemsize for tensor in tensors)
    formula = FORMULAS.get(func._overloadpacket)
    flops = formula(*args, **(kwargs or {}), out_val=out) if formula else 0
    return out, max(flops / _FLOPS_PER_MS, moved / _BYTES_PER_MS)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _module(path: str, stats: Any, estimator: SACEstimator, full: str) -> Module:
    def at(state: Any, kind: Any) -> int:
        return int(stats.snapshots[state][-1][_CPU][kind])

    held = at(_ModState.POST_FW, _MemRefType.ACT)
    grown = held - at(_ModState.PRE_FW, _MemRefType.ACT) - stats.output_mem
    gradient = at(_ModState.PEAK_BW, _MemRefType.TEMP) - at(_ModState.PRE_BW, _MemRefType.TEMP)
    common = {
        "path": path,
        "act_fw": max(0, grown) / _MIB,
        "act_grad": gradient / _MIB,
        "act_total": held / _MIB,
    }
    operators = estimator.sac_mod_stats.get(full)
    if operators is None or not path:  # the whole model is no candidate: its loss is its output
        return Module(**common, is_leaf=True)
    return Module(
        **common,
        is_leaf=False,
        sac_memory=max(sum(operators.memory) / _MIB, common["act_fw"]),
        sac_runtime=sum(operators.runtimes),
        segments=_segments(*_curve(estimator, full, operators)),
        operators=operators,
    )


def _curve(estimator: SACEstimator, full: str, stats: SACStats) -> tuple[list[float], list[float]]:
    """Discarded memory and recomputed time, as `_get_sac_tradeoff_pwlf_stats` steps 1 to 7."""
    order = estimator.sac_mod_greedy_order_meta[full]
    runtime, memory = sum(stats.runtimes), max(sum(stats.memory), 1)
    discarded = float(sum(stats.memory[index] for index in order.recomputed_ops))
    again = sum(stats.runtimes[index] for index in order.recomputed_ops)
    x, y = [discarded / memory + 0.01], [again / runtime]
    for candidate in order.msps_meta:
        discarded += candidate.memory
        again += candidate.runtime
        x.append(discarded / memory + 0.01)
        y.append(again / runtime)
    points = dict(zip(x, y, strict=True))  # theirs is keyed by x as well
    return list(points)[:-1], list(points.values())[1:]


def _segments(x: list[float], y: list[float]) -> tuple[tuple[float, float], ...]:
    """(slope, intercept) of one or two continuous segments, by least squares."""
    if len(x) < 2:
        return ((0.0, y[0] if y else 1.0),)
    xs, ys = np.array(x), np.array(y)
    line = np.polyfit(xs, ys, 1)
    if len(x) < 4:
        return ((float(line[0]), float(line[1])),)
    best: tuple[float, Any, float] | None = None
    for bend in np.linspace(xs.min(), xs.max(), 101)[1:-1]:
        basis = np.stack([np.ones_like(xs), xs, np.maximum(xs - bend, 0)], axis=1)
        weights = np.linalg.lstsq(basis, ys, rcond=None)[0]
        error = float(((basis @ weights - ys) ** 2).sum())
        if best is None or error < best[0]:
            best = (error, weights, float(bend))
    assert best is not None
    _, (level, slope, turn), bend = best
    first = (float(slope), float(level))
    return first, (float(slope + turn), float(level - turn * bend))


@dataclass
class _Program:
    """Rows of a sparse mixed-integer program, grown one constraint at a time."""

    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, terms: dict[int, float], low: float = -np.inf, high: float = np.inf) -> None:
        """One constraint: low <= terms <= high."""
        for column, value in terms.items():
            self.rows.append(len(self.low))
            self.columns.append(column)
            self.values.append(value)
        self.low.append(low)
        self.high.append(high)

    def solve(self, cost: Any, integer: Any, upper: Any, seconds: float) -> Any:
        shape = (len(self.low), len(cost))
        matrix = coo_array((self.values, (self.rows, self.columns)), shape=shape).tocsr()
        return milp(
            cost,
            integrality=integer,
            bounds=Bounds(0, upper),
            constraints=LinearConstraint(matrix, self.low, self.high),
            options={"mip_rel_gap": _GAP, "time_limit": seconds},
        )


def solve(modules: list[Module], after: list[str], budget: float) -> tuple[dict[str, float], float]:
    """Fraction of each chosen module's memory to discard, and the peak in MiB that is promised.

    Names of variables and constraints are those of `sac_milp`, memory is less what parameters and
    gradients take.

    Raises:
        ValueError: no plan fits.
    """
    n = len(modules)
    y, r, d, rcp, rct = (range(start * n, (start + 1) * n) for start in range(5))
    peak = 5 * n
    program = _Program()
    big = max(1e2, 2 * max(module.sac_runtime for module in modules))
    position = {path: index for index, path in enumerate(after)}
    for i, module in enumerate(modules):
        for j in range(i + 1, n):  # [No nested AC units]
            if modules[j].path.startswith(module.path + ".") or not module.path:
                program.add({y[i]: 1, y[j]: 1}, high=1)
        if module.is_leaf:  # [Do not AC leaf modules]
            program.add({y[i]: 1}, high=0)
        total, kept = module.sac_memory, module.act_fw  # ACM, IA
        # [Express amount of discarded activation memory]
        program.add({d[i]: 1, r[i]: -total, y[i]: total - kept}, 0, 0)
        program.add({y[i]: 1, r[i]: -1}, low=0)  # [Ensure correctness of r_i]
        if not module.is_leaf and total > 0:
            program.add({r[i]: 1, y[i]: -(total - kept) / total}, low=0)
        # [Express total activation memory in the backward pass], and [Express peak memory]
        done = [j for j in range(n) if position[modules[j].path] < position[module.path]]
        discards = {d[j]: 1.0 for j in done}
        program.add({peak: 1, **discards}, low=module.act_total + module.act_grad)
        for slope, intercept in module.segments:  # [Express percentage of recomputation time]
            program.add({rcp[i]: 1, r[i]: -slope}, low=intercept)
        # [Express recomputation time]
        program.add({rct[i]: 1, y[i]: -big}, high=0)
        program.add({rct[i]: 1, rcp[i]: -module.sac_runtime}, high=0)
        program.add({rct[i]: 1, rcp[i]: -module.sac_runtime, y[i]: -big}, low=-big)
    program.add({peak: 1}, high=budget)  # [Peak memory should be below budget]
    cost = np.zeros(5 * n + 1)
    cost[list(rct)] = 1
    integer = np.zeros(5 * n + 1)
    integer[list(y)] = 1
    upper = np.full(5 * n + 1, np.inf)
    upper[: 2 * n] = 1
    answer = program.solve(cost, integer, upper, _SECONDS)
    if answer.x is None:
        raise ValueError("AutoSAC's program: no plan fits")
    chosen = {
        module.path: round(float(answer.x[r[i]]), 4)
        for i, module in enumerate(modules)
        if round(answer.x[y[i]]) == 1
    }
    return chosen, float(answer.x[peak])


def operators_kept(stats: SACStats, budget: float) -> list[int]:
    """1 for each operator whose result is saved: `get_optimal_checkpointing_policy_per_module`.

    Raises:
        ValueError: no choice fits.
    """
    n = len(stats.func_names)
    program = _Program()
    for one, other in zip(stats.rand_ops[:-1], stats.rand_ops[1:], strict=True):
        program.add({one: 1, other: -1}, 0, 0)
    for index in stats.view_like_ops:
        program.add({index: 1}, high=0)
    for index, parent in stats.inplace_ops:
        if index == parent:
            program.add({index: 1}, low=1)
        else:
            program.add({index: 1, parent: -1}, 0, 0)
    limit = int(np.ceil(budget * sum(stats.memory)))
    program.add(dict(enumerate(stats.memory)), high=limit)
    answer = program.solve(-np.array(stats.runtimes), np.ones(n), np.ones(n), 10.0)
    if answer.x is None:
        raise ValueError("AutoSAC's program for a module: no choice fits")
    return [round(value) for value in answer.x]


class _Policy:
    """Saves by the number of the call; forward and recomputation are counted apart."""

    def __init__(self, names: list[str], kept: list[int]) -> None:
        self._names, self._kept = names, kept
        self._calls = {False: 0, True: 0}

    def __call__(self, context: Any, op: Any, *args: Any, **options: Any) -> CheckpointPolicy:
        if op in OPS_TO_ALWAYS_SKIP:
            return CheckpointPolicy.PREFER_RECOMPUTE
        number = self._calls[context.is_recompute]
        self._calls[context.is_recompute] += 1
        if self._names[number] != op._overloadpacket.__name__:
            raise ValueError(f"call {number} is {op}, not {self._names[number]}")
        if self._kept[number]:
            return CheckpointPolicy.MUST_SAVE
        return CheckpointPolicy.PREFER_RECOMPUTE


def autosac(budget_bytes: int) -> Apply:
    """Plan for the budget, above parameters and gradients, and carry the plan out."""

    def apply(model: nn.Module, case: Case, inputs: Inputs) -> Loss:
        modules, after = statistics(case)
        start = time.perf_counter()
        chosen, promised = solve(modules, after, budget_bytes / _MIB)
        by_path = {module.path: module for module in modules}
        for path, fraction in chosen.items():
            stats = by_path[path].operators
            assert stats is not None
            _wrap(model.get_submodule(path), stats, operators_kept(stats, 1 - fraction))
        seconds = time.perf_counter() - start
        note = f"its own estimate {promised:.1f} MiB; {len(chosen)} modules"
        return Step(model, {"solve_seconds": seconds, "note": note})

    return apply


def _wrap(module: nn.Module, stats: SACStats, kept: list[int]) -> None:
    recompute(module, lambda: _Policy(stats.func_names, kept))
