"""The designs of a space by number, and what of each a surrogate learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.variation import Space

Floats = NDArray[np.float64]


class DesignSpace(Space):
    """Every combination of the values of the axes of a checked request."""

    def features(self) -> Floats:
        """What designs are told apart by, shape (designs, features).

        An axis of positive numbers is one feature, the logarithm scaled to [0, 1], since bytes and
        seconds are sums of products of sizes. Any other has one for each value, such that two
        different values are as far apart as the ends of a number's axis.
        """
        digits = np.stack(np.unravel_index(np.arange(self.size), self.shape), axis=1)
        columns = [_coordinates(axis.values)[digits[:, i]] for i, axis in enumerate(self.axes)]
        return np.concatenate(columns, axis=1)

    def extrapolates(self, design: int, seen: Sequence[int]) -> bool:
        """Whether the design lies outside of what the seen ones span.

        So it does where one of its numbers is less or more than those of all of them, or another
        value was in none.
        """
        own = self.digits(design)
        others = [self.digits(each) for each in seen]
        for axis, digit, known in zip(self.axes, own, zip(*others, strict=True), strict=False):
            if is_numeric(axis.values):
                span = [axis.values[each] for each in known]
                if not min(span) <= axis.values[digit] <= max(span):
                    return True
            elif digit not in known:
                return True
        return not others


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether an axis has an order: positive numbers only."""
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        for value in values
    )


def _coordinates(values: Sequence[Any]) -> Floats:
    if not is_numeric(values):
        return np.eye(len(values)) / math.sqrt(2)
    logs = np.log([float(value) for value in values])
    span = logs.max() - logs.min()
    scaled: Floats = (logs - logs.min()) / (span or 1.0)
    return scaled[:, None]
