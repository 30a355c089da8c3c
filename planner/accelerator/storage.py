"""How many bits of a memory a tensor takes when its zeros are left out.

AccelTran's rule (Tuli and Jha 2023, arXiv 2302.14705; `simulator/src/buffer.py` of
jha-lab/acceltran): a buffer counts `elements * (IL + FL) * (1 - sparsity)` bits, with IL = 4 and
FL = 16 bits of fixed point. The masks that say where the zeros are go to a buffer of their own, one
bit an element.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from planner.tape import Ints

_DENOMINATOR = 10**6
"""Sparsities are taken to a millionth, so that counts stay exact integers below 2^63."""


def nonzero_elements(elements: Ints, sparsity: float) -> Ints:
    """Elements left of each tensor, rounded up to whole ones."""
    kept = 1 - Fraction(sparsity).limit_denominator(_DENOMINATOR)
    return -(-elements * kept.numerator // kept.denominator)


def packed_bytes(elements: Ints, bits: int | Ints) -> Ints:
    """Bytes of tensors whose elements follow each other without gaps."""
    return -(-elements * bits // 8)


def used_bits(elements: int, sparsity: float, bits: int = 20) -> int:
    """Bits of a buffer that a tensor takes by AccelTran's rule, without its mask."""
    return int(nonzero_elements(np.array([elements], dtype=np.int64), sparsity)[0]) * bits
