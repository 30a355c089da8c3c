"""Numerical Pruning's scores and compensation on small layers."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.compress.numerical import DAMPING, compensated, newton_scores, objective


def layer(inputs=12, outputs=8, tokens=200, seed=0):
    """W [D, out], X [tokens, D] of correlated inputs."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    mixing = torch.eye(inputs) + 0.3 * normal(inputs, inputs)
    return normal(inputs, outputs), normal(tokens, inputs) @ mixing


def curvature_of(weight, x):
    return (weight @ weight.T) * (x.T @ x)


class TestScores:
    @given(seed=st.integers(0, 50), kept=st.integers(1, 11))
    @settings(max_examples=25, deadline=None)
    def test_newton_ends_lower_than_it_began(self, seed, kept):
        weight, x = layer(seed=seed)
        curvature = curvature_of(weight, x)
        penalty = curvature.diagonal().mean()
        z = newton_scores(weight, x.T @ x, kept)
        start = torch.full_like(z, kept / len(z))
        assert objective(z, curvature, penalty, kept) <= objective(start, curvature, penalty, kept)
        assert ((z >= 0) & (z <= 1)).all()

    def test_the_objective_is_the_error_of_the_layers_output(self):
        weight, x = layer()
        z = torch.rand(12)
        error = (x @ weight - x @ (z[:, None] * weight)).square().sum() / 2
        ours = objective(z, curvature_of(weight, x), torch.tensor(0.0), 3)
        torch.testing.assert_close(ours, error, rtol=1e-4, atol=1e-3)

    def test_inputs_that_do_nothing_score_lowest(self):
        weight, x = layer()
        weight[3] = 0
        x[:, 7] = 0
        z = newton_scores(weight, x.T @ x, 10)
        assert set(z.argsort()[:2].tolist()) == {3, 7}

    def test_a_duplicated_channel_scores_as_its_twin(self):
        weight, x = layer()
        weight[5], x[:, 5] = weight[2], x[:, 2]
        z = newton_scores(weight, x.T @ x, 6)
        torch.testing.assert_close(z[5], z[2], rtol=1e-2, atol=1e-2)

    def test_the_kept_inputs_lose_less_than_those_of_least_score(self):
        losses = []
        for seed in range(10):
            weight, x = layer(seed=seed)
            order = newton_scores(weight, x.T @ x, 6).argsort()
            losses.append([_loss(weight, x, order[:6]), _loss(weight, x, order[6:])])
        best, worst = torch.tensor(losses).mean(0)
        assert best < 0.7 * worst


def _loss(weight, x, pruned):
    return (x[:, pruned] @ weight[pruned]).square().sum().item()


class TestCompensation:
    @given(seed=st.integers(0, 50), count=st.integers(1, 11))
    @settings(max_examples=25, deadline=None)
    def test_it_is_the_least_squares_of_what_stays(self, seed, count):
        weight, x = layer(seed=seed)
        pruned = torch.arange(count)
        ours = compensated(weight, x.T @ x, pruned)
        kept = torch.arange(count, 12)
        best = torch.linalg.lstsq(x[:, kept], x @ weight).solution
        assert (ours[pruned] == 0).all()
        least = (x @ weight - x[:, kept] @ best).square().sum()
        # Ours is the least of |X dW|^2 + g / 2 |dW|^2, so at most what that is of the undamped one.
        change = weight.clone()
        change[kept] -= best
        damped = DAMPING * (x.T @ x).diagonal().mean() * change.square().sum()
        assert (x @ weight - x @ ours).square().sum() <= 1.001 * (least + damped)

    def test_it_lowers_the_error_of_pruning(self):
        weight, x = layer()
        pruned = torch.tensor([1, 4, 9])
        with_it = (x @ weight - x @ compensated(weight, x.T @ x, pruned)).square().sum()
        assert with_it < 0.9 * _loss(weight, x, pruned)

    def test_a_duplicated_channel_is_taken_over_by_its_twin(self):
        weight, x = layer()
        x[:, 5] = x[:, 2]
        ours = compensated(weight, x.T @ x, torch.tensor([5]))
        torch.testing.assert_close(ours[2], weight[2] + weight[5], rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(x @ ours, x @ weight, rtol=1e-2, atol=5e-2)
