"""Running statistics of batch norms, which no recomputation updates a second time."""

import pytest
import torch
from torch import nn

from planner.apply import apply_strategy
from planner.errors import StrategyMismatch
from planner.strategy import Strategy
from tests.planner.apply.toys import gradients, recompute, same, selective


class Convolutions(nn.Module):
    """`momentum=None` is a cumulative average: it depends on how many batches were counted."""

    def __init__(self, momentum=0.1):
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3, momentum=momentum), nn.ReLU()
            )
            for _ in range(3)
        )

    def forward(self, x):
        for stage in self.stages:
            x = stage(x)
        return x.square().mean()


def made(momentum):
    torch.manual_seed(0)
    return Convolutions(momentum)


def statistics(model):
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
CONVOLUTION = "aten.convolution#0"


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(
    "strategy",
    [
        recompute("stages.0", "stages.2"),
        recompute("stages.1.1"),
        recompute("stages.0", through="stages.2"),
        Strategy(
            units=[
                *recompute("stages.0", through="stages.2").units,
                *recompute("stages.1", through="stages.2").units,
                *recompute("stages.1").units,
            ]
        ),
        selective("stages.1", CONVOLUTION),
    ],
    ids=["recompute", "norm alone", "segment", "nested", "selective"],
)
def test_statistics_and_gradients_are_those_of_a_plain_step(strategy, momentum):
    plain, planned = made(momentum), apply_strategy(made(momentum), strategy)
    for _ in range(2):
        assert same(gradients(planned, X), gradients(plain, X))
        expected = statistics(plain)
        for name, buffer in statistics(planned).items():
            assert torch.equal(buffer, expected[name]), name
    assert int(planned.stages[0][1].num_batches_tracked) == 2
    assert planned.stages[0][1].momentum == momentum


def test_a_graph_may_be_recomputed_twice():
    plain, planned = made(0.1), apply_strategy(made(0.1), recompute("stages.1"))
    for model in (plain, planned):
        loss = model(X)
        loss.backward(retain_graph=True)
        loss.backward()
    for one, other in zip(planned.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for one, other in zip(planned.buffers(), plain.buffers(), strict=True):
        assert torch.equal(one, other)


def test_norms_without_running_statistics_need_no_care():
    plain, planned = made(0.1), made(0.1)
    for model in (plain, planned):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
    apply_strategy(planned, recompute("stages.0", "stages.1"))
    assert same(gradients(planned, X), gradients(plain, X))


def test_the_count_of_batches_cannot_be_saved():
    planned = apply_strategy(made(0.1), selective("stages.0", "aten.add_.Tensor#0"))
    with pytest.raises(StrategyMismatch, match="count batches"):
        planned(X)
