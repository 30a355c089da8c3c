from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.accelerator.storage import nonzero_elements, packed_bytes, used_bits


def test_berts_embeddings_fit_the_weight_buffer_of_the_edge_design():
    """30522 words and 128 positions of BERT-Tiny, half of them zero, in 8 MiB."""
    bits = used_bits((30522 + 128) * 128, sparsity=0.5, bits=20)
    assert bits == (30522 + 128) * 128 * 10
    assert bits / 8 / 2**20 == pytest.approx(4.68, abs=0.005)
    assert bits / 8 <= 8 * 2**20


@given(st.integers(0, 2**40), st.integers(0, 999), st.integers(1, 64))
def test_counts_are_exact_and_rounded_up(elements, thousandths, bits):
    kept = int(nonzero_elements(np.array([elements]), thousandths / 1000)[0])
    exact = elements * (1 - Fraction(thousandths, 1000))
    assert exact <= kept < exact + 1
    assert used_bits(elements, thousandths / 1000, bits) == kept * bits
    size = int(packed_bytes(np.array([kept]), bits)[0])
    assert (size - 1) * 8 < kept * bits <= size * 8
