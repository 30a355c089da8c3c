"""Plans of any module, proved by what the allocator did while it trained."""

import pytest
import torch
from torch import nn

from planner.allocations import record_allocations
from planner.apply import apply_strategy, remove_strategy
from planner.errors import InvalidRequest
from planner.planning.module import DoesNotFit, auto_checkpoint, fake_copy, plan_module
from planner.strategy import Strategy
from tests.planner.apply.toys import Toy, batch, gradients, same, toy

SIZES = {"blocks": 3, "width": 64}
X = batch(width=64)
WITHOUT_LEVERS = ["checkpointing", "selective", "segments"]


def build():
    return Toy(**SIZES), {"x": torch.empty(X.shape)}


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3)


def planned(budget, **options):
    return plan_module(build, budget, optimizer=adamw, **options)


@pytest.fixture(scope="module")
def plain():
    plan = planned("1GB")
    assert plan.strategy.is_plain
    return plan.baseline.peak_bytes


@pytest.fixture(scope="module")
def least():
    plan = planned("1MB", allow=WITHOUT_LEVERS)
    assert not plan.feasible
    return plan.infeasible.smallest_budget_bytes


def measured(model, optimizer):
    """Most bytes alive in two steps, with what was alive before them."""
    before = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers(), X))
    with record_allocations() as recorded:
        for _ in range(2):
            model(X).backward()
            optimizer.step()
            optimizer.zero_grad()
    return before + int(recorded.live_bytes().max())


@pytest.fixture(scope="module", autouse=True)
def few_sets():
    """Less is measured, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.planning.selection.MAX_SETS", 3)
        yield


@pytest.fixture(scope="module", autouse=True)
def warm():
    """First calls of some kernels keep buffers for good."""
    model = toy(blocks=1, width=64)
    measured(model, adamw(model.parameters()))


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_the_measured_peak_is_the_certified_one(share, least, plain):
    budget = least + int(share * (plain - least))
    plan = planned(budget, allow=WITHOUT_LEVERS)
    model = toy(**SIZES)
    optimizer = adamw(model.parameters())
    apply_strategy(model, plan.strategy, optimizer)
    peak = measured(model, optimizer)
    assert peak == pytest.approx(plan.prediction.peak_bytes, rel=1e-3)
    assert peak <= budget


def test_automatic_checkpointing_plans_and_applies(least, plain):
    budget = (least + plain) // 2
    expected = gradients(toy(**SIZES), X)
    model = toy(**SIZES)
    optimizer = adamw(model.parameters())
    plan = auto_checkpoint(model, {"x": X}, budget, optimizer=optimizer, allow=WITHOUT_LEVERS)
    assert plan.feasible
    assert not plan.strategy.is_plain
    assert same(gradients(model, X), expected)
    model.zero_grad()
    peak = measured(model, optimizer)
    assert peak == pytest.approx(plan.prediction.peak_bytes, rel=1e-3)
    assert peak <= budget
    remove_strategy(model)
    assert all(type(one) is type(other) for one, other in zip(
        model.modules(), toy(**SIZES).modules(), strict=True
    ))  # fmt: skip


@pytest.mark.parametrize("name", ["AdamW", "Adam", "SGD", "RMSprop", "Adagrad", "Adafactor"])
def test_the_state_of_the_optimizer_at_hand_is_counted(name):
    model = toy(blocks=1)
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=1e-3)
    plan = auto_checkpoint(
        model, {"x": X[..., :32]}, 700_000, optimizer=optimizer, allow=["checkpointing"]
    )
    assert plan.prediction.peak_bytes <= 700_000
    state = plan.baseline.at_peak.optimizer_state
    parameters = sum(parameter.nbytes for parameter in model.parameters())
    whole = {"AdamW": 2, "Adam": 2, "SGD": 0, "RMSprop": 1, "Adagrad": 1, "Adafactor": 0.075}
    assert state == pytest.approx(whole[name] * parameters, rel=0.5, abs=100)


def test_automatic_checkpointing_may_change_the_optimizer(least):
    model = toy(**SIZES)
    optimizer = adamw(model.parameters())
    budget = least - 100_000  # not to be had by units alone
    plan = auto_checkpoint(model, {"x": X}, budget, optimizer=optimizer)
    assert plan.strategy.optimizer.in_backward
    peak = measured(model, optimizer)
    assert peak == pytest.approx(plan.prediction.peak_bytes, rel=1e-3)
    assert peak <= budget


def test_what_would_fit_is_said_where_nothing_does(least):
    model = toy(**SIZES)
    with pytest.raises(DoesNotFit, match="the least that any allowed strategy takes") as caught:
        auto_checkpoint(
            model,
            {"x": X},
            "1MB",
            optimizer=adamw(model.parameters()),
            allow=WITHOUT_LEVERS,
        )
    assert caught.value.extra["smallest_budget_bytes"] == least
    apply_strategy(model, Strategy())  # nothing was applied


def test_a_loss_of_the_output_may_be_given():
    class Outputs(nn.Sequential):
        pass

    def build():
        return Outputs(nn.Linear(8, 8), nn.Tanh()), {"input": torch.empty(4, 8)}

    plan = plan_module(build, "1MB", loss=lambda output: output.square().sum())
    assert plan.feasible


def test_planning_allocates_no_parameters():
    model = toy(blocks=1)
    with torch.device("meta"):
        copied = fake_copy(model)
    assert [p.shape for p in copied.parameters()] == [p.shape for p in model.parameters()]
    assert all(p.requires_grad for p in copied.parameters())


@pytest.mark.parametrize(
    ("budget", "options", "pointer"),
    [
        ("much", {}, "/memory_budget"),
        (0, {}, "/memory_budget"),
        ("1GB", {"allow": ["precision"]}, "/allow"),
        ("1MB", {"units": ["layers.*"]}, "/units/0"),
    ],
)
def test_wrong_requests_name_their_field(budget, options, pointer):
    with pytest.raises(InvalidRequest) as caught:
        planned(budget, **options)
    assert [error.pointer for error in caught.value.errors] == [pointer]
