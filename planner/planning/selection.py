"""Which op outputs of a unit to keep when the rest of it is recomputed.

Selective checkpointing runs the whole unit again except for the calls whose outputs were kept, so
the time that a set of calls saves is the sum of theirs, and so are its bytes: choosing the best set
for an amount of memory is a knapsack, and the sets taken greedily by seconds per byte are its
optima at their own sizes (Dantzig 1957). What each set really holds and costs is measured after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from planner.apply.recompute import draws_random_numbers, op_name
from planner.apply.statistics import tracking_norms
from planner.apply.wrapping import Forward
from planner.cost import op_seconds
from planner.devices import DeviceProfile
from planner.tape import OpFlag, Tape
from planner.tracing.recorder import Recorder

MAX_SETS = 12


@dataclass(frozen=True)
class Candidate:
    """A call whose output could be kept: its time is saved at the price of its bytes."""

    call: str
    op: int
    seconds: float
    bytes: int


@dataclass
class Spy:
    """A wrapper that recomputes everything and notes each call and the storages it filled.

    `recorder`: of the tape that the unit is being recorded to, known only once it runs.
    """

    recorder: Callable[[], Recorder]
    seen: list[tuple[str, int, list[int], bool]]

    def __call__(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        """As `planner.apply.recompute.Selective` with nothing to save."""
        return checkpoint(forward, *args, use_reentrant=False, context_fn=self._contexts, **kwargs)

    def _contexts(self) -> Any:
        counts: dict[OpOverload, int] = {}

        def policy(
            context: SelectiveCheckpointContext, op: OpOverload, *args: Any, **kwargs: Any
        ) -> CheckpointPolicy:
            number = counts[op] = counts.get(op, -1) + 1
            recorder = self.recorder()
            leaves = [leaf for leaf in tree_leaves(context.op_output) if isinstance(leaf, Tensor)]
            storages = [recorder.storage_of(leaf) for leaf in leaves]
            draws = draws_random_numbers(op, args, kwargs)
            self.seen.append((f"{op_name(op)}#{number}", recorder.op_count - 1, storages, draws))
            return CheckpointPolicy.PREFER_RECOMPUTE

        return create_selective_checkpoint_contexts(policy)  # type: ignore[no-untyped-call]


def candidates(spy: Spy, tape: Tape, device: DeviceProfile, module: nn.Module) -> list[Candidate]:
    """Calls worth keeping, by seconds per byte, best first.

    Left out: views, draws of random numbers (the generator must advance alike), outputs that are
    written to later, and calls that the recomputation does not reach.
    """
    seconds = op_seconds(tape, device)
    written = _last_writers(tape)
    reached = _recomputed_ops(tape)
    counts_batches = bool(tracking_norms([module]))
    found = []
    for number, (call, op, storages, draws) in enumerate(spy.seen):
        if draws or number >= reached or tape.op_flags[op] & OpFlag.view or not storages:
            continue
        if counts_batches and call.startswith("aten.add_"):
            continue
        if any(written.get(s, op) != op or tape.storage_op[s] < 0 for s in storages):
            continue
        size = sum(int(tape.storage_bytes[storage]) for storage in set(storages))
        if size and seconds[op] > 0:
            found.append(Candidate(call, op, float(seconds[op]), size))
    return sorted(found, key=lambda item: (-item.seconds / item.bytes, item.op))


def save_sets(ranked: list[Candidate]) -> list[tuple[str, ...]]:
    """The greedy sets, thinned to `MAX_SETS` that differ most in bytes; smallest first."""
    total = sum(item.bytes for item in ranked)
    sets: list[tuple[str, ...]] = []
    taken, level = 0, -1
    for number, item in enumerate(ranked, start=1):
        taken += item.bytes
        step = taken * MAX_SETS // max(total, 1)
        is_large = item.bytes * MAX_SETS >= total
        if step > level or is_large:
            sets.append(tuple(each.call for each in ranked[:number]))
            level = step
    return sets


def _last_writers(tape: Tape) -> dict[int, int]:
    """Storage -> the last op of forward that writes into it in place."""
    writers: dict[int, int] = {}
    for op in range(tape.op_count):
        if tape.op_phase[op] == 0 and tape.op_flags[op] & OpFlag.in_place:
            for tensor in tape.op_outputs[tape.op_outputs_at[op] : tape.op_outputs_at[op + 1]]:
                writers[int(tape.tensor_storage[tensor])] = op
    return writers


def _recomputed_ops(tape: Tape) -> int:
    """How many of the unit's calls backward runs again: it stops when it has all it needs."""
    detach = tape.names.index("aten.detach") if "aten.detach" in tape.names else -1
    return int(((tape.op_flags & OpFlag.recompute != 0) & (tape.op_name != detach)).sum())
