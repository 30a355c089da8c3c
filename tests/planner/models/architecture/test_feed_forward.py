"""Feed-forwards compute the same in each of their forms."""

import pytest
import torch
from torch import nn

from planner.models.architecture.experts import ExpertsFeedForward
from planner.models.architecture.feed_forward import ChunkedFeedForward, DenseFeedForward
from planner.models.architecture.memory import MemoryFeedForward, MemoryLayer
from planner.models.architecture.projections import LowRankLinear

B, S, H = 2, 12, 16


def tokens(dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(B, S, H, dtype=dtype, requires_grad=True)


def gradients(module, x):
    output = module(x)
    (output * torch.linspace(0, 1, H, dtype=x.dtype)).sum().backward()
    found = [output.detach(), x.grad.clone(), *(p.grad.clone() for p in module.parameters())]
    x.grad = None
    module.zero_grad()
    return found


def test_memory_layer_reads_the_rows_that_its_equation_names():
    layer = MemoryLayer(H, 5, 4, 1.5, "embedding_bag").double()
    x = tokens()
    expected = torch.zeros(B, S, 5, dtype=torch.float64)
    for k in range(H // 4):
        z = x[..., 4 * k : 4 * k + 4]
        code = sum((z[..., i] >= 0) * 2**i for i in range(4))
        probability = 1 / torch.prod(1 + torch.exp(-2 * z.abs() / 1.5), dim=-1)
        expected = expected + probability[..., None] * layer.weight[16 * k + code]
    torch.testing.assert_close(layer(x), expected)


def test_the_released_score_weighs_by_size_and_reads_the_first_bit_as_the_highest():
    layer = MemoryLayer(H, 5, 4, 1.0, "embedding_bag", "released").double()
    x = tokens()
    expected = layer.bias.expand(B, S, 5)
    for k in range(H // 4):
        z = x[..., 4 * k : 4 * k + 4]
        code = sum((z[..., i] >= 0) * 2 ** (3 - i) for i in range(4))
        score = z.abs().sum(-1) / torch.prod(1 + torch.exp(-2 * z.abs()), dim=-1)
        expected = expected + score[..., None] * layer.weight[16 * k + code]
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("score", ["paper", "released"])
def test_memory_layers_give_the_same_fused_and_gathered(score):
    fused = MemoryFeedForward(H, 4, 2, 1.0, "embedding_bag", score).double()
    gathered = MemoryFeedForward(H, 4, 2, 1.0, "gather", score).double()
    gathered.load_state_dict(fused.state_dict())
    for ours, other in zip(gradients(fused, tokens()), gradients(gathered, tokens()), strict=True):
        torch.testing.assert_close(ours, other)


def test_memory_tables_have_the_published_sizes():
    # MemoryFormer, table 3: the tables of Q alone in fp16, d = 512 (510 of it in 51 parts of 10).
    for bits, tables, megabytes in ((4, 128, 2.1), (8, 64, 16.8), (10, 51, 53.5)):
        with torch.device("meta"):
            layer = MemoryLayer(bits * tables, 512, bits, 1.0, "embedding_bag")
        assert round(2 * layer.weight.numel() / 1e6, 1) == megabytes
    # Table 5: the feed-forward of d = 512, tau = 8 in fp16, by bits of expansion.
    for extra, megabytes in ((0, 33.6), (1, 52.4), (2, 88.1), (3, 157.3)):
        with torch.device("meta"):
            layers = MemoryFeedForward(512, 8, extra, 1.0, "embedding_bag")
        numbers = layers.first.weight.numel() + layers.second.weight.numel()
        assert round(2 * numbers / 1e6, 1) == megabytes


def test_chunks_change_nothing():
    whole = DenseFeedForward(H, 32, "gelu", True, None).double()
    chunked = ChunkedFeedForward(whole, 5)
    for ours, other in zip(gradients(chunked, tokens()), gradients(whole, tokens()), strict=True):
        torch.testing.assert_close(ours, other)


def test_a_low_rank_map_is_the_product_of_its_matrices():
    low = LowRankLinear(H, 8, 3, bias=True).double()
    product = nn.functional.linear(tokens(), low.up.weight @ low.down.weight, low.up.bias)
    torch.testing.assert_close(low(tokens()), product)
    assert torch.linalg.matrix_rank(low.up.weight @ low.down.weight) == 3


def experts(top_k, capacity_factor, aux_loss=0.0):
    torch.manual_seed(1)
    return ExpertsFeedForward(H, 32, 4, top_k, capacity_factor, "relu", aux_loss).double()


def test_experts_with_room_for_all_are_a_weighted_sum_of_feed_forwards():
    for top_k in (1, 2):
        layer, x = experts(top_k, 4.0), tokens()
        expected = torch.zeros_like(x)
        probabilities = layer.router(x).float().softmax(-1)
        for b in range(B):
            for s in range(S):
                weights, chosen = probabilities[b, s].topk(top_k)
                weights = weights / weights.sum() if top_k > 1 else weights
                for weight, e in zip(weights, chosen, strict=True):
                    inner = (x[b, s] @ layer.up_proj[e]).relu() @ layer.down_proj[e]
                    expected[b, s] += weight * inner
        torch.testing.assert_close(layer(x), expected)


def test_tokens_beyond_an_experts_room_are_left_out_in_order():
    layer = experts(1, 0.5)  # ceil(0.5 x 24 / 4) = 3 tokens an expert
    with torch.no_grad():
        output = layer(tokens()).flatten(0, 1)
        chosen = layer.router(tokens()).flatten(0, 1).argmax(-1)
    for e in range(4):
        mine = (chosen == e).nonzero().flatten()
        assert (output[mine[:3]] != 0).any(-1).all()
        assert (output[mine[3:]] == 0).all()


def test_the_balancing_loss_reaches_the_router_and_nothing_else():
    plain, balanced = experts(1, 4.0), experts(1, 4.0, aux_loss=0.1)
    output, x_grad, *rest, router = gradients(plain, tokens())
    output_2, x_grad_2, *rest_2, router_2 = gradients(balanced, tokens())
    torch.testing.assert_close(output, output_2)
    for ours, other in zip(rest, rest_2, strict=True):
        torch.testing.assert_close(ours, other)
    # d/dp of alpha E sum_e f_e mean(p_e), through the router alone.
    x = tokens().detach()
    p = balanced.router(x).flatten(0, 1).float().softmax(-1)
    share = nn.functional.one_hot(p.argmax(-1), 4).float().mean(0)
    (expected,) = torch.autograd.grad(0.1 * 4 * (share * p.mean(0)).sum(), balanced.router.weight)
    torch.testing.assert_close(router_2 - router, expected, atol=1e-6, rtol=1e-4)
    assert not torch.allclose(x_grad, x_grad_2)
