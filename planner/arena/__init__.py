"""Static memory planning: offsets in one arena for buffers whose lifetimes are known.

`pack` finds them, `violations` checks them; see docs/arena.md.
"""

from planner.arena.buffers import Buffers, Layout, Proof, max_live_bytes
from planner.arena.greedy import best_fit, greedy_by_size
from planner.arena.minimalloc_csv import read_csv, write_csv
from planner.arena.pack import SOLVERS, pack
from planner.arena.validator import violations

__all__ = [
    "SOLVERS",
    "Buffers",
    "Layout",
    "Proof",
    "best_fit",
    "greedy_by_size",
    "max_live_bytes",
    "pack",
    "read_csv",
    "violations",
    "write_csv",
]
