"""A planned model is the same model: what it computes, what it is made of, what wraps it."""

import copy
import json

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributed.fsdp import fully_shard

from planner.apply import apply_strategy, remove_strategy
from planner.errors import StrategyMismatch
from planner.strategy import OptimizerChoice, Strategy, UnitChoice
from tests.planner.apply.toys import batch, gradients, recompute, same, selective, toy

BLOCKS = 6
X = batch()
PLAIN = gradients(toy(), X)

ADDMM = [f"aten.addmm#{number}" for number in range(4)]  # qkv, out and the two of the MLP
WHOLE = ("keep", "recompute", "selective", "offload")


def choice(action, path, save):
    return UnitChoice(module=path, action=action, save=save if action == "selective" else [])


def saves(calls):
    return st.lists(st.sampled_from(calls), min_size=1, unique=True)


@st.composite
def unit_choices(draw):
    """Choices for blocks, for modules inside them, and segments, in segments."""
    found = []
    for number in range(BLOCKS):
        for path, calls in (("", ADDMM), (".attention", ADDMM[:2]), (".mlp", ADDMM[:2])):
            action = draw(st.sampled_from(WHOLE if path == "" else ("keep", *WHOLE)))
            found.append(choice(action, f"blocks.{number}{path}", draw(saves(calls))))
    for first, last in draw(st.sampled_from([[], [(1, 4)], [(0, 5), (1, 3)], [(0, 2), (3, 5)]])):
        found.append(
            UnitChoice(module=f"blocks.{first}", through=f"blocks.{last}", action="recompute")
        )
    return found


@given(units=unit_choices())
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
def test_gradients_are_the_plain_ones_in_every_bit_under_any_strategy(units):
    strategy = Strategy(units=units)
    assert Strategy.model_validate_json(strategy.model_dump_json()) == strategy
    model = apply_strategy(toy(), strategy)
    assert same(gradients(model, X), PLAIN)
    assert same(gradients(model, X), PLAIN)  # a second step finds nothing left of the first


MIXED = Strategy(
    units=[
        UnitChoice(module="blocks.0", action="recompute"),
        UnitChoice(module="blocks.0.mlp", action="recompute"),
        UnitChoice(module="blocks.1", action="selective", save=["aten.addmm#2"]),
        UnitChoice(module="blocks.2", action="offload"),
        UnitChoice(module="blocks.3", through="blocks.5", action="recompute"),
        UnitChoice(module="blocks.4", through="blocks.5", action="recompute"),
    ]
)


def test_less_is_saved_for_backward():
    def saved(model):
        seen = {}

        def note(tensor):
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model(X)
        return sum(seen.values())

    whole = recompute(*(f"blocks.{number}" for number in range(BLOCKS)))
    assert saved(apply_strategy(toy(), whole)) < saved(toy()) / 4


def test_a_strategy_may_be_json_or_what_json_holds():
    for strategy in (MIXED.model_dump_json(), json.loads(MIXED.model_dump_json())):
        assert same(gradients(apply_strategy(toy(), strategy), X), PLAIN)


def test_removing_leaves_the_model_as_it_was():
    model, untouched = toy(), toy()
    apply_strategy(model, MIXED)
    assert isinstance(model.blocks[0], type(untouched.blocks[0]))
    assert list(model.state_dict()) == list(untouched.state_dict())
    gradients(model, X)
    remove_strategy(model)
    for one, other in zip(model.modules(), untouched.modules(), strict=True):
        assert type(one) is type(other)
        assert vars(one).keys() == vars(other).keys()
        assert one.forward.__func__ is other.forward.__func__
    assert list(model.state_dict()) == list(untouched.state_dict())
    assert same(gradients(model, X), PLAIN)


def test_removing_nothing_changes_nothing():
    assert same(gradients(remove_strategy(toy()), X), PLAIN)


def test_a_strategy_can_follow_another_once_that_is_removed():
    model = remove_strategy(apply_strategy(toy(), MIXED))
    assert same(gradients(apply_strategy(model, recompute("blocks.1")), X), PLAIN)


def test_deep_copies_train_on_their_own():
    model = apply_strategy(toy(), MIXED)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(0.5)
    halved = gradients(twin, X)
    assert all(parameter.grad is None for parameter in model.parameters())
    plain = toy()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.mul_(0.5)
    assert same(halved, gradients(plain, X))
    assert same(gradients(model, X), PLAIN)
    remove_strategy(twin)
    assert same(gradients(model, X), PLAIN)


def test_without_gradients_the_models_own_forward_runs():
    model, plain = apply_strategy(toy(), MIXED).eval(), toy().eval()
    with torch.no_grad():
        assert torch.equal(model(X), plain(X))


def test_a_forward_that_fails_inside_a_segment_leaves_it_usable():
    model = apply_strategy(toy(), MIXED)
    handle = model.blocks[4].mlp.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(X)
    handle.remove()
    assert same(gradients(model, X), PLAIN)


def test_autocast_is_the_same_in_the_recomputation():
    plain = gradients(toy(), X, torch.bfloat16)
    assert not torch.equal(plain[0], PLAIN[0])
    assert same(gradients(apply_strategy(toy(), MIXED), X, torch.bfloat16), plain)


# ---------------------------------------------------------------------- other wrappers


@pytest.fixture
def group(tmp_path):
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_distributed_data_parallel_around_a_planned_model(group):
    model = apply_strategy(toy(), MIXED)
    loss, found = gradients(nn.parallel.DistributedDataParallel(model), X)
    assert same((loss, {name.removeprefix("module."): g for name, g in found.items()}), PLAIN)


WITHOUT_SEGMENTS = MIXED.model_copy(
    update={"units": [unit for unit in MIXED.units if unit.through is None]}
)


def sharded(model, *modules):
    mesh = dist.init_device_mesh("cpu", (1,))
    for module in (*modules, model):
        fully_shard(module, mesh=mesh)
    return model


def test_fully_shard_of_each_block_of_a_planned_model(group):
    model = apply_strategy(toy(), WITHOUT_SEGMENTS)
    loss, found = gradients(sharded(model, *model.blocks), X)
    assert same((loss, {name: g.full_tensor() for name, g in found.items()}), PLAIN)


def test_fully_shard_of_a_whole_model_with_segments(group):
    loss, found = gradients(sharded(apply_strategy(toy(), MIXED)), X)
    assert same((loss, {name: g.full_tensor() for name, g in found.items()}), PLAIN)


def test_a_segment_over_modules_that_are_sharded_one_by_one_is_refused(group):
    model = apply_strategy(toy(), recompute("blocks.0", through="blocks.2"))
    with pytest.raises(StrategyMismatch, match=r"blocks\.1 does not take the output"):
        gradients(sharded(model, *model.blocks), X)


def test_recomputed_units_compile():
    strategy = recompute("blocks.0", "blocks.1.mlp")
    plain = gradients(toy(blocks=2, dropout=0.0), X)
    model = torch.compile(apply_strategy(toy(blocks=2, dropout=0.0), strategy), backend="aot_eager")
    loss, found = gradients(model, X)
    assert torch.allclose(loss, plain[0])
    for name, gradient in found.items():
        expected = plain[1][name.removeprefix("_orig_mod.")]
        assert torch.allclose(gradient, expected, atol=1e-6), name


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("strategy", "match"),
    [
        (recompute("blocks.9"), "no module 'blocks.9'"),
        (recompute("blocks.0", through="blocks.9"), "no module 'blocks.9'"),
        (recompute("blocks.0", through="final"), "not the same parent"),
        (recompute("blocks.0", through="blocks.1.mlp"), "not the same parent"),
        (recompute("blocks.3", through="blocks.2"), "does not come after"),
        (Strategy(loss_chunks=2, loss_head="nowhere"), "no linear head 'nowhere'"),
        (Strategy(loss_chunks=2), "no linear head"),
        (Strategy(checkpointing="full"), "no checkpointing of its own"),
        (Strategy(optimizer=OptimizerChoice(in_backward=True)), "pass it too"),
    ],
)
def test_what_the_model_lacks_is_named_and_nothing_is_changed(strategy, match):
    model = toy()
    with pytest.raises(StrategyMismatch, match=match):
        apply_strategy(model, strategy)
    assert same(gradients(apply_strategy(model, MIXED), X), PLAIN)


def test_a_model_takes_one_strategy_at_a_time():
    model = apply_strategy(toy(), MIXED)
    with pytest.raises(StrategyMismatch, match="already"):
        apply_strategy(model, Strategy())


class Skipping(nn.Module):
    """The second layer does not take the output of the first."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x):
        return (self.layers[0](x) + self.layers[1](x * 2)).sum()


def test_modules_that_are_not_a_chain_are_no_segment():
    model = apply_strategy(Skipping(), recompute("layers.0", through="layers.1"))
    with pytest.raises(StrategyMismatch, match=r"layers\.1 does not take the output of layers\.0"):
        model(torch.ones(2, 8))


class Noise(nn.Module):
    def forward(self, x):
        return x * torch.rand_like(x) * torch.rand_like(x)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(8, 8), Noise())

    def forward(self, x):
        return self.inner(x).sum()


def test_a_draw_that_is_saved_before_one_that_is_recomputed_is_refused():
    model = apply_strategy(Noisy(), selective("inner", "aten.rand_like#0"))
    with pytest.raises(StrategyMismatch, match=r"aten\.rand_like#0, which draws random numbers"):
        gradients(model, torch.ones(2, 8))


def test_all_draws_may_be_saved():
    torch.manual_seed(0)
    model, x = Noisy(), torch.ones(2, 8)
    plain = gradients(model, x)
    apply_strategy(model, selective("inner", "aten.rand_like#0", "aten.rand_like#1"))
    assert same(gradients(model, x), plain)
