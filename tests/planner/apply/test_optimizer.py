"""Steps of an optimizer done otherwise, to the same effect."""

import pytest
import torch

from planner.apply import apply_strategy, remove_strategy
from planner.errors import StrategyMismatch
from planner.strategy import OptimizerChoice, Strategy
from tests.planner.apply.toys import batch, toy

X = batch(length=8)


def adamw(model):
    """Groups with options of their own, as for decay; `eps` hides what is but rounding."""
    parameters = list(model.parameters())
    groups = [{"params": parameters[:5], "weight_decay": 0.0}, {"params": parameters[5:]}]
    return torch.optim.AdamW(groups, lr=1e-2, eps=1e-4)


def trained(choice, steps=3, make=adamw):
    """Parameters after some steps, and whether gradients were left behind by backward."""
    model = toy(blocks=2)
    optimizer = make(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    apply_strategy(model, Strategy(optimizer=choice), optimizer)
    left = False
    for step in range(steps):
        torch.manual_seed(step)
        model(X).backward()
        left |= any(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return [parameter.detach() for parameter in model.parameters()], left


@pytest.fixture(scope="module")
def plain():
    return trained(OptimizerChoice())[0]


@pytest.mark.parametrize("implementation", ["fused", "foreach", "for-loop"])
def test_implementations_agree(plain, implementation):
    found, left = trained(OptimizerChoice(implementation=implementation))
    assert left
    for one, other in zip(found, plain, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_stepping_in_backward_changes_no_bit_and_leaves_no_gradient(plain):
    found, left = trained(OptimizerChoice(in_backward=True))
    assert not left
    assert all(torch.equal(one, other) for one, other in zip(found, plain, strict=True))


def test_stepping_in_backward_with_another_implementation():
    alone, _ = trained(OptimizerChoice(implementation="fused"))
    found, left = trained(OptimizerChoice(implementation="fused", in_backward=True))
    assert not left
    assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


def test_removing_gives_the_optimizer_its_own_ways_back():
    model = toy(blocks=1)
    optimizer = adamw(model)
    before = [dict(group) for group in optimizer.param_groups]
    choice = OptimizerChoice(implementation="fused", in_backward=True)
    apply_strategy(model, Strategy(optimizer=choice), optimizer)
    assert all(group["fused"] for group in optimizer.param_groups)
    model(X).backward()
    remove_strategy(model)
    assert [dict(group) for group in optimizer.param_groups] == before
    model(X).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_an_implementation_that_the_optimizer_lacks_is_refused():
    model = toy(blocks=1)
    optimizer = torch.optim.RMSprop(model.parameters())
    choice = Strategy(optimizer=OptimizerChoice(implementation="fused"))
    with pytest.raises(StrategyMismatch, match="RMSprop has no fused implementation"):
        apply_strategy(model, choice, optimizer)
    apply_strategy(model, Strategy())  # nothing of it was applied
