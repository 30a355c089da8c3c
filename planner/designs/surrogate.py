"""What is expected of a design that was not simulated, and how sure that is.

A Gaussian process (Rasmussen and Williams 2006, algorithm 2.1) over the features of
`DesignSpace`, of a linear and a squared-exponential kernel: kernel ridge regression with the
deviation of its posterior. The simulator is deterministic, so the noise is next to none. O(n^3) in
the designs seen, a few hundred at most.

It is conservative where asked for its pessimistic side: far from what was seen the deviation
is that of the prior, so nothing is proposed there for being unknown. PRIME (arXiv 2110.11346)
trains a network against optima that it is too hopeful of; the bound does that here by arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from planner.designs.space import Floats

_LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the squared-exponential kernel, tried; features span 0 to 1."""
_LINEAR = 4.0
"""Variance of the linear kernel's slopes, in variances of what is learnt."""
_NOISE = 1e-6


@dataclass(frozen=True, eq=False)
class Surrogate:
    """The posterior over all designs of a space, from values of some; `mean` and `deviation` have
    the shape (designs,).
    """

    mean: Floats
    deviation: Floats
    length: float

    def bound(self, sign: float, deviations: float) -> Floats:
        """The mean, moved by as many deviations in the direction of the sign."""
        return self.mean + sign * deviations * self.deviation


def fit(features: Floats, seen: list[int], values: list[float]) -> Surrogate:
    """Learn values of the seen designs, with the length that explains them best."""
    known = np.array(values)
    center, spread = float(known.mean()), float(known.std())
    if len(seen) < 2 or spread == 0:
        deviation = np.full(len(features), spread or 1.0)
        deviation[seen] = 0.0
        return Surrogate(np.full(len(features), center), deviation, math.inf)
    scaled = (known - center) / spread
    length, lower = max(
        ((length, _factor(features[seen], length)) for length in _LENGTHS),
        key=lambda found: _likelihood(found[1], scaled),
    )
    across = _kernel(features[seen], features, length)
    whitened = solve_triangular(lower, across, lower=True)
    mean = whitened.T @ solve_triangular(lower, scaled, lower=True)
    explained = (whitened**2).sum(axis=0)
    own = 1.0 + _LINEAR * ((features - 0.5) ** 2).sum(axis=1)
    deviation = np.sqrt(np.maximum(own - explained, 0.0))
    return Surrogate(center + spread * mean, spread * deviation, length)


def _factor(points: Floats, length: float) -> Floats:
    """The lower triangular root of the covariance between the points."""
    covariance = _kernel(points, points, length) + _NOISE * np.eye(len(points))
    return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def _likelihood(lower: Floats, values: Floats) -> float:
    """Logarithm of the marginal likelihood, but for what is the same for all lengths."""
    whitened = solve_triangular(lower, values, lower=True)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(lower)).sum())


def _kernel(first: Floats, second: Floats, length: float) -> Floats:
    squares = squared_distances(first, second)
    linear = (first - 0.5) @ (second - 0.5).T
    kernel: Floats = np.exp(-0.5 * squares / length**2) + _LINEAR * linear
    return kernel


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Between the points of two lists, without an array of all their differences."""
    lengths = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    distances: Floats = np.maximum(lengths - 2 * first @ second.T, 0.0)
    return distances
