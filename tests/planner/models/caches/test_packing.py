"""Few-bit numbers: the bytes they take, and how far they are from what was packed."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.models.caches.packing import Format, PackedStates

formats = st.builds(
    Format, st.sampled_from([2, 4, 8]), st.sampled_from([32, 64]), st.sampled_from([-2, -1])
)


def states(seed, tokens=128, channels=64, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, tokens, channels, generator=generator).to(dtype)


def unpacked(packed, like):
    out = torch.full_like(like, float("nan"))
    packed.unpack_into(out)
    return out


@settings(deadline=None, max_examples=30)
@given(format=formats, seed=st.integers(0, 100))
def test_numbers_are_rounded_by_half_a_step_at_most(format, seed):
    given_states = states(seed)
    packed = PackedStates.of(given_states, format)
    error = format.groups((unpacked(packed, given_states) - given_states).abs())
    assert bool((error <= packed.scale / 2 * (1 + 1e-3)).all())
    lowest = format.groups(given_states).amin(format.dim, keepdim=True)
    assert torch.equal(packed.low, lowest)


@settings(deadline=None, max_examples=30)
@given(format=formats, dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_bytes_are_bits_and_two_numbers_a_group(format, dtype):
    given_states = states(0, dtype=dtype)
    packed = PackedStates.of(given_states, format)
    count = given_states.numel()
    assert packed.codes.dtype == torch.uint8
    groups = count // format.group_size
    assert packed.nbytes == count * format.bits // 8 + 2 * groups * dtype.itemsize
    assert packed.tokens == given_states.shape[2]


@settings(deadline=None, max_examples=20)
@given(format=formats, seed=st.integers(0, 100))
def test_tokens_appended_are_as_if_packed_at_once(format, seed):
    given_states = states(seed)
    at_once = PackedStates.of(given_states, format)
    packed = PackedStates.of(given_states[:, :, :64], format)
    packed.append(given_states[:, :, 64:])
    assert torch.equal(unpacked(packed, given_states), unpacked(at_once, given_states))


def test_equal_numbers_come_back_as_they_are():
    given_states = torch.full((1, 1, 32, 32), 3.25)
    for bits in (2, 4, 8):
        packed = PackedStates.of(given_states, Format(bits, 32, -1))
        assert torch.equal(unpacked(packed, given_states), given_states)
