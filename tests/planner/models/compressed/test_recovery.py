"""Random projections of sparse vectors, and matching pursuit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.models.compressed.recovery import (
    matching_pursuit,
    random_projection,
    sparse_projection,
)

CPU = torch.device("cpu")


def sparse_vectors(count, length, sparsity, seed):
    """Dense [count, length] with `sparsity` numbers each, their positions and their values."""
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack(
        [torch.randperm(length, generator=generator)[:sparsity] for _ in range(count)]
    )
    signs = torch.randint(2, indices.shape, generator=generator) * 2 - 1
    values = signs * (0.5 + torch.rand(indices.shape, generator=generator))
    return torch.zeros(count, length).scatter_(1, indices, values), indices, values


def dense(positions, values, length):
    return torch.zeros(len(positions), length).scatter_(1, positions, values)


def test_a_projection_is_the_matrix_times_the_vector():
    rows = random_projection(200, 48, 3, CPU)
    vectors, indices, values = sparse_vectors(5, 200, 7, seed=1)
    torch.testing.assert_close(sparse_projection(rows, indices, values), vectors @ rows)


def test_projections_are_the_same_for_the_same_seed_and_have_columns_of_norm_1():
    rows = random_projection(200, 48, 3, CPU)
    assert torch.equal(rows, random_projection(200, 48, 3, CPU))
    assert not torch.equal(rows, random_projection(200, 48, 4, CPU))
    torch.testing.assert_close(torch.linalg.vector_norm(rows, dim=1), torch.ones(200))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6))
def test_sparse_vectors_are_recovered_exactly(seed, count, sparsity):
    # 64 measurements of at most 6 numbers among 256: far inside of what pursuit recovers.
    rows = random_projection(256, 64, seed, CPU)
    vectors, indices, values = sparse_vectors(count, 256, sparsity, seed)
    projected = sparse_projection(rows, indices, values)
    found = matching_pursuit(rows, projected, sparsity, count * 256)
    torch.testing.assert_close(dense(*found, 256), vectors, rtol=1e-4, atol=1e-4)


def test_more_rounds_than_numbers_change_nothing():
    rows = random_projection(256, 64, 0, CPU)
    vectors, indices, values = sparse_vectors(3, 256, 4, seed=0)
    found = matching_pursuit(rows, sparse_projection(rows, indices, values), 12, 3 * 256)
    torch.testing.assert_close(dense(*found, 256), vectors, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sparsity", [1, 5, 16])
def test_any_target_is_fitted_by_least_squares_over_distinct_columns(sparsity):
    rows = random_projection(100, 16, 0, CPU)
    targets = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    positions, values = matching_pursuit(rows, targets, sparsity, 600)
    for row, value, target in zip(positions, values, targets, strict=True):
        assert len(set(row.tolist())) == sparsity
        expected = torch.linalg.lstsq(rows[row].t().double(), target.double()[:, None]).solution
        torch.testing.assert_close(value.double(), expected[:, 0], rtol=1e-3, atol=1e-3)


def test_positions_out_of_use_are_taken_last():
    rows = random_projection(50, 32, 0, CPU)
    targets = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    positions, _ = matching_pursuit(rows, targets, 10, 50 + 10)
    assert positions[1].max() < 10


def test_nothing_gives_zeros():
    rows = random_projection(50, 8, 0, CPU)
    _, values = matching_pursuit(rows, torch.zeros(2, 8), 4, 100)
    assert torch.equal(values, torch.zeros(2, 4))
