"""Static memory planning: offsets in one arena for buffers whose lifetimes are known.

`arena_of` takes them from a tape, `pack` finds offsets, `violations` checks them, and
`planner.arena.replay` (the only part that needs torch) runs a model in the arena. docs/arena.md has
more.
"""

from planner.arena.buffers import Buffers, Layout, Proof, max_live_bytes
from planner.arena.greedy import best_fit, greedy_by_size
from planner.arena.lifetimes import Arena
from planner.arena.minimalloc_csv import read_csv, write_csv
from planner.arena.of_tape import arena_of
from planner.arena.pack import SOLVERS, pack
from planner.arena.validator import violations

__all__ = [
    "SOLVERS",
    "Arena",
    "Buffers",
    "Layout",
    "Proof",
    "arena_of",
    "best_fit",
    "greedy_by_size",
    "max_live_bytes",
    "pack",
    "read_csv",
    "violations",
    "write_csv",
]
