"""AdamW with 8-bit states beside AdamW."""

import pytest
import torch
from torch.utils._pytree import tree_leaves

from planner.models.adamw8bit import BLOCK, AdamW8bit, scale_of_codes

SIZES = [(96, 64), (4099,), (37,)]  # 24 blocks; a short last block; too small for 8 bits


def state_bytes(optimizer):
    leaves = tree_leaves([dict(state) for state in optimizer.state.values()])
    return sum(leaf.nbytes for leaf in leaves if isinstance(leaf, torch.Tensor))


def least_squares(make, steps=100):
    """Noisy gradients of the squared distance from fixed targets, the same for each optimizer."""
    generator = torch.Generator().manual_seed(0)
    targets = [torch.randn(size, generator=generator) for size in SIZES]
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in SIZES]
    optimizer = make(parameters, lr=0.02)
    for _ in range(steps):
        for parameter, target in zip(parameters, targets, strict=True):
            noise = torch.randn(target.shape, generator=generator)
            parameter.grad = parameter.detach() - target + 0.1 * noise
        optimizer.step()
    losses = [
        float((parameter.detach() - target).square().mean())
        for parameter, target in zip(parameters, targets, strict=True)
    ]
    return parameters, optimizer, losses


@pytest.fixture(scope="module")
def both():
    return least_squares(torch.optim.AdamW), least_squares(AdamW8bit)


def test_it_stays_close_to_adamw(both):
    (expected, _, losses), (found, _, losses8) = both
    for one, other, target in zip(found, expected, SIZES, strict=True):
        difference = (one - other).detach()
        assert difference.norm() < 0.05 * other.detach().norm(), target
    for loss, loss8 in zip(losses, losses8, strict=True):
        assert loss8 < 1.2 * loss


def test_large_parameters_have_states_of_one_byte_a_number(both):
    _, (parameters, optimizer, _) = both
    for parameter in parameters[:2]:
        for moment in ("exp_avg", "exp_avg_sq"):
            state = optimizer.state[parameter][moment]
            assert state["codes"].dtype == torch.uint8
            assert state["codes"].numel() == parameter.numel()
            assert state["scales"].numel() == -(-parameter.numel() // BLOCK)
    small = optimizer.state[parameters[2]]["exp_avg"]
    assert small.dtype == torch.float32


def test_states_take_less_than_a_third(both):
    (_, adamw, _), (_, optimizer, _) = both
    assert state_bytes(optimizer) < 0.3 * state_bytes(adamw)


@pytest.mark.parametrize(("signed", "count"), [(True, 256), (False, 256)])
def test_codes_stand_for_ascending_numbers(signed, count):
    values = scale_of_codes(signed)
    assert len(values) <= count
    assert (values.diff() > 0).all()
    assert values[-1] == 1
    assert (values == 0).sum() == 1
    assert values[127 if signed else 0] == 0


def test_weights_of_16_bits_stay_so():
    parameter = torch.nn.Parameter(torch.ones(5000, dtype=torch.bfloat16))
    parameter.grad = torch.ones_like(parameter)
    AdamW8bit([parameter], lr=0.1).step()
    assert parameter.dtype == torch.bfloat16
    assert torch.allclose(parameter.float(), torch.full((5000,), 0.9), atol=0.01)


def test_a_state_dict_restores_the_states(both):
    _, (parameters, optimizer, _) = both
    other = AdamW8bit(parameters, lr=0.02)
    other.load_state_dict(optimizer.state_dict())
    for parameter in parameters[:2]:
        one, two = optimizer.state[parameter]["exp_avg"], other.state[parameter]["exp_avg"]
        assert two["codes"].dtype == torch.uint8
        assert torch.equal(one["codes"], two["codes"])
        assert torch.equal(one["scales"], two["scales"])
        assert one["codes"].data_ptr() != two["codes"].data_ptr()


def test_training_goes_on_from_a_state_dict_as_if_never_interrupted():
    def step(parameter, optimizer, number):
        generator = torch.Generator().manual_seed(number)
        parameter.grad = torch.randn(5000, generator=generator).to(parameter.dtype)
        optimizer.step()

    one = torch.nn.Parameter(torch.ones(5000, dtype=torch.bfloat16))
    optimizer = AdamW8bit([one], lr=0.1)
    step(one, optimizer, 0)
    other = torch.nn.Parameter(one.detach().clone())
    resumed = AdamW8bit([other], lr=0.1)
    resumed.load_state_dict(optimizer.state_dict())
    for number in (1, 2):
        step(one, optimizer, number)
        step(other, resumed, number)
    assert torch.equal(one, other)


@pytest.mark.parametrize("arguments", [{"lr": -1}, {"betas": (1.0, 0.9)}, {"eps": -1.0}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must"):
        AdamW8bit([torch.nn.Parameter(torch.zeros(1))], **arguments)
