"""SGC and GaLore beside what they are made of."""

import pytest
import torch
from torch.utils._pytree import tree_leaves

from planner.models.compressed.galore import GaLoreAdamW
from planner.models.compressed.sgc import CESGC, MESGC

SHAPES = [(96, 64), (64, 96), (7, 5, 31), (40,)]
SGC = {"k": 24, "s": 6, "chunks": 5}

# Numbers of state for each of SHAPES: moments, and the projectors of the matrices.
NUMBERS = {
    "mesgc": (MESGC, SGC, [2 * 5 * 24] * 3 + [2 * 40]),
    "mesgc stored": (
        MESGC,
        {**SGC, "store_projection": True},
        [2 * 5 * 24 + 24 * -(-6144 // 5)] * 2 + [2 * 5 * 24 + 24 * 217, 2 * 40],
    ),
    "cesgc": (CESGC, {**SGC, "rank": 8}, [2 * 5 * 24 + 8 * 64] * 2 + [2 * 5 * 24, 2 * 40]),
    "cesgc of little": (
        CESGC,
        {**SGC, "rank": 1},
        [2 * 96 + 64] * 2 + [2 * 5 * 24, 2 * 40],
    ),
    "galore": (GaLoreAdamW, {"rank": 8}, [8 * (64 + 2 * 96)] * 2 + [2 * 7 * 5 * 31, 2 * 40]),
    "galore of full rank": (GaLoreAdamW, {"rank": 64}, [2 * 96 * 64] * 2 + [2 * 1085, 2 * 40]),
}


def parameters(dtype=torch.float32):
    return [torch.nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in SHAPES]


def give_gradients(ours, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in ours:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def numbers_of(state):
    leaves = tree_leaves(dict(state))
    return sum(leaf.numel() for leaf in leaves if isinstance(leaf, torch.Tensor))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NUMBERS)
def test_states_have_as_many_numbers_as_documented(name, dtype):
    kind, options, expected = NUMBERS[name]
    ours = parameters(dtype)
    optimizer = kind(ours, **options)
    for seed in range(2):
        give_gradients(ours, seed)
        optimizer.step()
    assert [numbers_of(optimizer.state[each]) for each in ours] == expected
    tensors = [leaf for state in optimizer.state.values() for leaf in tree_leaves(dict(state))]
    assert all(leaf.dtype == torch.float32 for leaf in tensors if isinstance(leaf, torch.Tensor))
    assert all(each.dtype == dtype and bool(each.any()) for each in ours)


@pytest.mark.parametrize("name", NUMBERS)
def test_training_goes_on_from_a_state_dict_as_if_never_interrupted(name):
    kind, options, _ = NUMBERS[name]
    one = parameters(torch.bfloat16)
    optimizer = kind(one, lr=0.1, **options)
    give_gradients(one, 0)
    optimizer.step()
    other = [torch.nn.Parameter(each.detach().clone()) for each in one]
    resumed = kind(other, lr=0.1, **options)
    resumed.load_state_dict(optimizer.state_dict())
    for seed in (1, 2):
        for ours, mine in ((one, optimizer), (other, resumed)):
            give_gradients(ours, seed)
            mine.step()
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_network_learns(name):
    kind, options, _ = NUMBERS[name]
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 32))
    inputs, teacher = torch.randn(128, 32), torch.randn(32, 32) / 6
    optimizer = kind(network.parameters(), lr=2e-2, **options)
    losses = []
    for _ in range(60):
        loss = (network(inputs) - inputs @ teacher).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def sparse_gradient(generator):
    """[96, 64] with at most 3 numbers of about 1 in each of 5 chunks."""
    gradient = torch.zeros(96 * 64)
    for first in range(0, 6144, 1229):
        places = first + torch.randperm(1000, generator=generator)[:3]
        gradient[places] = 1 + torch.rand(3, generator=generator)
    return gradient.view(96, 64)


def test_a_sparse_gradient_is_stepped_exactly():
    """With an eps beyond the moments the step is linear, so it is AdamW's of the whole gradient."""
    gradient = sparse_gradient(torch.Generator().manual_seed(0))
    ours, full = (torch.nn.Parameter(torch.ones(96, 64)) for _ in range(2))
    options = {"lr": 1e5, "eps": 1e6, "weight_decay": 0.0}
    # Five chunks of 1,229 numbers, the last of which has four to spare.
    compressed = MESGC([ours], k=48, s=6, chunks=5, **options)
    adamw = torch.optim.AdamW([full], **options)
    for _ in range(3):
        ours.grad, full.grad = gradient.clone(), gradient.clone()
        compressed.step()
        adamw.step()
    torch.testing.assert_close(ours, full, rtol=1e-4, atol=1e-4)


def test_decay_is_decoupled():
    parameter = torch.nn.Parameter(torch.ones(96, 64))
    parameter.grad = torch.zeros(96, 64)
    MESGC([parameter], lr=0.1, weight_decay=0.5, **SGC).step()
    torch.testing.assert_close(parameter.detach(), torch.full((96, 64), 0.95))


def low_rank_gradients(shape, rank, steps):
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(shape[0], rank, generator=generator)
    right = torch.randn(rank, shape[1], generator=generator)
    for step in range(steps):
        yield (1 + step) * left @ right


@pytest.mark.parametrize("shape", [(96, 64), (64, 96)])
def test_galore_steps_a_gradient_of_low_rank_exactly(shape):
    """A linear step again: then projecting to and fro changes nothing."""
    ours, full = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    options = {"lr": 1e5, "eps": 1e7, "weight_decay": 0.1e-5}
    galore = GaLoreAdamW([ours], rank=6, scale=1.0, update_interval=2, **options)
    adamw = torch.optim.AdamW([full], **options)
    for gradient in low_rank_gradients(shape, 4, steps=2):
        ours.grad, full.grad = gradient.clone(), gradient.clone()
        galore.step()
        adamw.step()
    torch.testing.assert_close(ours, full, rtol=1e-4, atol=1e-4)


def test_projectors_are_made_anew_after_their_interval():
    parameter = torch.nn.Parameter(torch.zeros(32, 16))
    optimizer = GaLoreAdamW([parameter], rank=4, update_interval=2)
    projectors = []
    for seed in range(3):
        parameter.grad = torch.randn(32, 16, generator=torch.Generator().manual_seed(seed))
        optimizer.step()
        projectors.append(optimizer.state[parameter]["projector"])
    assert projectors[0] is projectors[1]
    assert projectors[2] is not projectors[1]
    torch.testing.assert_close(projectors[2] @ projectors[2].t(), torch.eye(4))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (MESGC, {"s": 0}),
        (MESGC, {"s": 65}),
        (MESGC, {"chunks": 0}),
        (MESGC, {"k": 64.5}),
        (MESGC, {"seed": 0.5}),
        (CESGC, {"rank": 0}),
        (CESGC, {"lr": -1.0}),
        (GaLoreAdamW, {"update_interval": 0}),
        (GaLoreAdamW, {"rank": 0}),
    ],
)
def test_arguments_out_of_range_are_refused(kind, arguments):
    with pytest.raises(ValueError, match="must"):
        kind(parameters(), **arguments)
