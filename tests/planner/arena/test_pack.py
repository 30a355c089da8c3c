from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.arena import SOLVERS, Proof, max_live_bytes, pack, read_csv, violations
from planner.arena.sections import components, sections
from tests.planner.arena.instances import (
    buffers_of,
    filled,
    has_layout,
    least_height,
    level,
    random_buffers,
)

MINIMALLOC = Path(os.environ.get("MINIMALLOC", "minimalloc"))  # a folder of its instances


@given(random_buffers())
@settings(max_examples=60, deadline=None)
def test_every_solver_makes_a_layout_no_lower_than_the_bound(buffers):
    heights = {}
    for name, solve in SOLVERS.items():
        layout = solve(buffers, None, 1.0)
        assert violations(buffers, layout.offsets, layout.height_bytes) == []
        assert violations(buffers, layout.offsets, layout.height_bytes - 1) != []
        assert layout.height_bytes >= layout.lower_bound_bytes >= max_live_bytes(buffers)
        heights[name] = layout.height_bytes
    assert heights["pack"] == min(heights.values())


@given(random_buffers(most=6))
@settings(max_examples=80, deadline=None)
def test_few_buffers_are_packed_as_low_as_any_order_of_placing_packs_them(buffers):
    best = least_height(buffers)
    layout = pack(buffers)
    assert (layout.height_bytes, layout.proof, layout.gap) == (best, Proof.OPTIMAL, 0.0)
    assert pack(buffers, best).fits
    refused = pack(buffers, best - 1)
    assert (refused.fits, refused.proof) == (False, Proof.INFEASIBLE)
    assert violations(buffers, refused.offsets) == []


class TestLevel:
    @pytest.mark.parametrize(("capacity", "times", "seed"), [(5, 10, 209), (9, 6, 73)])
    def test_more_than_the_most_alive_may_be_needed(self, capacity, times, seed):
        buffers = level(capacity, times, 4, seed)
        assert max_live_bytes(buffers) == capacity
        assert not has_layout(buffers, capacity)
        layout = pack(buffers)
        assert (layout.height_bytes, layout.proof) == (capacity + 1, Proof.OPTIMAL)
        assert pack(buffers, capacity).proof is Proof.INFEASIBLE

    @given(st.integers(3, 7), st.integers(0, 10_000))
    @settings(max_examples=60, deadline=None)
    def test_the_search_finds_a_layout_where_there_is_one(self, capacity, seed):
        buffers = level(capacity, 6, 4, seed)
        assert pack(buffers, capacity).fits == has_layout(buffers, capacity)


@pytest.mark.parametrize("count", [20, 60, 120])
@pytest.mark.parametrize("seed", range(3))
def test_what_fills_a_capacity_is_packed_into_it_where_greedy_passes_miss(count, seed):
    buffers = filled(count, seed=seed)
    assert max_live_bytes(buffers) == 1024
    layout = pack(buffers, 1024, seconds_limit=20)
    assert violations(buffers, layout.offsets, 1024) == []
    assert layout.proof is Proof.OPTIMAL
    if count > 20:
        assert SOLVERS["greedy by size"](buffers, 1024, 0.0).height_bytes > 1024


def test_a_search_ends_at_its_limit_with_the_best_so_far():
    buffers = filled(400, capacity=1 << 20, seed=1)
    pack(filled(20), 1024)  # compiled
    started = time.perf_counter()
    layout = pack(buffers, seconds_limit=0.3)
    assert time.perf_counter() - started < 5
    assert violations(buffers, layout.offsets, layout.height_bytes) == []


def test_the_same_buffers_give_the_same_layout():
    buffers = filled(60, seed=4)
    assert np.array_equal(pack(buffers, 1024).offsets, pack(buffers, 1024).offsets)


def test_time_apart_is_packed_apart():
    buffers = buffers_of((0, 2, 3), (10, 12, 5), (1, 3, 4), (11, 13, 1))
    assert sorted(sorted(rows.tolist()) for rows in components(buffers)) == [[0, 2], [1, 3]]
    assert pack(buffers).height_bytes == 7


def test_sections_are_the_largest_sets_alive_together():
    # 0 and 1 end one after the other before 2 is born: one section, then another.
    found = sections(buffers_of((0, 3, 1), (0, 4, 1), (5, 9, 1), (2, 9, 1)))
    assert found.number == 2
    assert found.first.tolist() == [0, 0, 1, 0]
    assert found.end.tolist() == [1, 1, 2, 2]


def test_nothing_is_a_layout_of_nothing():
    layout = pack(buffers_of())
    assert (layout.height_bytes, layout.proof, len(layout.offsets)) == (0, Proof.OPTIMAL, 0)


@pytest.mark.parametrize("name", "ABCDEFGHIJK")
def test_minimalloc_s_instances_are_packed_into_their_capacity(name):
    file = MINIMALLOC / f"{name}.1048576.csv"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    buffers = read_csv(file.read_text())
    layout = pack(buffers, 1 << 20, seconds_limit=60)
    assert violations(buffers, layout.offsets, 1 << 20) == []
