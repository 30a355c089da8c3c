"""FAR: the same function after the split, and only learners learn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.devices import BUILTIN
from planner.models.architecture.far import PrimingFeedForward, SplitLinear, learned
from planner.models.architecture.feed_forward import DenseFeedForward
from planner.simulation import simulate
from planner.trace import trace
from tests.planner.models.architecture.descriptions import build, request

H, F = 6, 10


def primed(bias=True, steps=3):
    """A feed-forward after a few steps."""
    torch.manual_seed(0)
    priming = PrimingFeedForward(DenseFeedForward(H, F, "gelu", bias, None)).double()
    optimizer = torch.optim.SGD(priming.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        priming(torch.randn(4, H, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
    return priming


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 9), min_size=1, max_size=9), st.booleans())
def test_a_split_map_is_the_whole_one(learners, bias):
    torch.manual_seed(0)
    whole, x = torch.nn.Linear(H, F, bias=bias).double(), torch.randn(4, H, dtype=torch.float64)
    split = SplitLinear.of(whole, torch.tensor(sorted(learners)))
    torch.testing.assert_close(split(x), whole(x))
    assert len(split.learners.weight) == len(learners)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("retention", [0.01, 0.4, 0.99])
def test_reconfiguring_changes_no_output(bias, retention):
    priming, x = primed(bias), torch.randn(4, H, dtype=torch.float64)
    torch.testing.assert_close(priming.reconfigured(retention)(x), priming(x))


def test_those_that_moved_most_learn():
    priming = primed()
    far = priming.reconfigured(0.4)
    weight = priming.feed_forward.up_proj.weight
    moved = learned(weight, priming.up_start)
    expected = [sum(abs(a - b) for a, b in zip(*rows, strict=True)) for rows in
                zip(weight.tolist(), priming.up_start.tolist(), strict=True)]  # fmt: skip
    assert moved.tolist() == pytest.approx(expected)
    best = sorted(range(F), key=lambda node: -expected[node])[:4]
    torch.testing.assert_close(far.up_proj.learners.weight, weight[sorted(best)])


def test_gradients_are_those_of_the_learners_in_the_whole():
    priming, x = primed(), torch.randn(4, H, dtype=torch.float64, requires_grad=True)
    far = priming.reconfigured(0.4)
    priming.zero_grad()
    priming(x).square().sum().backward()
    x_grad, x.grad = x.grad, None
    far(x).square().sum().backward()
    torch.testing.assert_close(x.grad, x_grad)
    for split, whole in (
        (far.up_proj, priming.feed_forward.up_proj),
        (far.down_proj, priming.feed_forward.down_proj),
    ):
        nodes = split.order.argsort()[: len(split.learners.weight)]
        torch.testing.assert_close(split.learners.weight.grad, whole.weight.grad[nodes])
        torch.testing.assert_close(split.learners.bias.grad, whole.bias.grad[nodes])
        assert split.frozen.weight.grad is split.frozen.bias.grad is None


def test_learners_alone_train_in_a_network():
    network, inputs = build(request(feed_forward={"kind": "far", "retention": 0.25}))
    network(**inputs).backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    assert without == {
        f"groups.0.blocks.{i}.feed_forward.function.{layer}.frozen.{kind}"
        for i in (0, 1) for layer in ("up_proj", "down_proj") for kind in ("weight", "bias")
    }  # fmt: skip


def predicted(**feed_forward):
    asked = request(feed_forward={"intermediate_size": 64, **feed_forward})
    return simulate(trace(asked, BUILTIN["cpu"]))


def saved_bytes(prediction):
    """What the second step's forward leaves for backward."""
    ends = {phase.name: phase.end_bytes for phase in prediction.phases}
    return ends["step1.forward"] - ends["step0.zero_grad"]


def test_activations_stay_and_priming_has_the_peak():
    dense = predicted(kind="dense")
    far = predicted(kind="far", retention=0.25)
    priming = predicted(kind="far", stage="priming")
    assert saved_bytes(far) == saved_bytes(dense) == saved_bytes(priming)
    nodes, per_node = 64 + 32, 32 * 64  # of both maps together; numbers of each matrix
    frozen_nodes = 0.75 * nodes
    frozen = 2 * 0.75 * per_node + frozen_nodes  # numbers of a block that do not learn
    assert dense.trainable_parameter_count - far.trainable_parameter_count == 2 * frozen
    copies = 2 * 2 * per_node * 4  # two matrices, two blocks, in fp32
    assert priming.peak_bytes - dense.peak_bytes == copies
    assert far.peak_bytes < dense.peak_bytes < priming.peak_bytes
