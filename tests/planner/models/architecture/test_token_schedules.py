"""Which tokens go on, and what they are, against references that loop over tokens."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import FunnelConfig
from transformers.models.funnel.modeling_funnel import FunnelAttentionStructure
from transformers.models.swin.modeling_swin import SwinPatchMerging

from planner.architecture.schedule import stages
from planner.architecture.tokens import PruneTokens
from planner.devices import BUILTIN
from planner.models.architecture.dense import EagerMixer, SdpaMixer
from planner.models.architecture.token_merging import TokenMerging, bipartite_soft_matching
from planner.models.architecture.token_pooling import PatchMerging, TokenPooling
from planner.models.architecture.token_pruning import TokenPruning, class_attention
from planner.planning.units import saved_bytes_by_module
from planner.presets import PRESETS
from planner.trace import trace
from tests.planner.models.architecture.descriptions import CLASSES, SCHEDULED, build, request

B, A, S, D = 2, 3, 14, 4


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def merged_by_loops(x, metric, sizes, r, has_first):
    """ToMe of one sample, as section 3 of the paper tells it; sums of tokens and their sizes."""
    first, second = list(range(0, len(x), 2)), list(range(1, len(x), 2))
    cosine = torch.nn.functional.cosine_similarity(metric[:, None], metric, dim=-1)
    best = {
        a: max(second, key=lambda b, a=a: cosine[a, b]) for a in first if not (has_first and a == 0)
    }
    moved = sorted(best, key=lambda a: -cosine[a, best[a]])[:r]
    groups = {b: [b] for b in second}
    for a in moved:
        groups[best[a]].append(a)
    alone = [[a] for a in first if a not in moved]
    return [
        (sum(x[i] * sizes[i] for i in group) / sum(sizes[i] for i in group), sum(sizes[group]))
        for group in [*alone, *groups.values()]
    ]


@pytest.mark.parametrize("has_first", [False, True])
@pytest.mark.parametrize("tokens", [13, 14])
def test_merging_is_that_of_a_loop_over_tokens(has_first, tokens):
    x, keys = normal(B, tokens, 6), normal(B, A, tokens, D, seed=1)
    sizes = torch.randint(1, 5, (B, tokens, 1)).double()
    ours, their_sizes = TokenMerging(4, has_first)(x, keys, sizes)
    assert ours.shape == (B, tokens - 4, 6)
    for sample in range(B):
        expected = merged_by_loops(
            x[sample], keys[sample].mean(0), sizes[sample, :, 0], 4, has_first
        )
        found = zip(ours[sample], their_sizes[sample, :, 0], strict=True)
        order = lambda pair: float(pair[0][0])  # noqa: E731 - unmerged tokens have no set order
        for (token, size), (want, want_size) in zip(
            sorted(found, key=order), sorted(expected, key=order), strict=True
        ):
            torch.testing.assert_close(token, want)
            assert size == want_size
        if has_first:
            torch.testing.assert_close(ours[sample, 0], x[sample, 0])


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 12), st.integers(0, 6), st.booleans(), st.integers(0, 2**31))
def test_merging_loses_nothing(tokens, r, has_first, seed):
    r = min(r, (tokens - has_first) // 2)
    x, keys = normal(B, tokens, 5, seed=seed), normal(B, A, tokens, D, seed=seed + 1)
    sizes = torch.randint(1, 9, (B, tokens, 1)).double()
    merged, merged_sizes = TokenMerging(r, has_first)(x, keys, sizes)
    assert merged.shape[1] == tokens - r
    torch.testing.assert_close((merged * merged_sizes).sum(1), (x * sizes).sum(1))
    torch.testing.assert_close(merged_sizes.sum(1), sizes.sum(1))


def test_matching_tokens_has_no_gradient_but_merging_has():
    x = normal(B, S, 6).requires_grad_()
    keys = normal(B, A, S, D, seed=1).requires_grad_()
    merged, _ = TokenMerging(5, True)(x, keys, None)
    merged.sum().backward()
    assert keys.grad is None
    assert (x.grad > 0).all()


def test_a_merged_token_weighs_as_much_as_those_it_stands_for():
    q, k, v = normal(3, B, A, 4, D).unbind()
    sizes = torch.tensor([1, 3, 2, 1])
    repeated = [x.repeat_interleave(sizes, dim=2) for x in (k, v)]
    expected = EagerMixer(False, 0.0)(q, *repeated)
    bias = sizes.double().log().view(1, 1, 1, -1)
    for mixer in (EagerMixer, SdpaMixer):
        torch.testing.assert_close(mixer(False, 0.0)(q, k, v, bias), expected)


def test_the_matching_pairs_the_most_similar():
    metric = torch.eye(6, dtype=torch.float64)[[0, 1, 2, 3, 2, 5]] + 0.01
    matching = bipartite_soft_matching(metric[None], 1, has_first=False)
    again = bipartite_soft_matching(metric[None, [0, 4, 2, 3, 1, 5]], 1, has_first=False)
    assert again.merged.flatten().tolist() == [1]  # token 2, equal to token 4
    assert again.into.flatten().tolist() == [0]
    assert matching.unmerged.shape == (1, 2, 1)


@pytest.mark.parametrize("kv_heads", [1, 3])
@pytest.mark.parametrize("fuse", [False, True])
def test_pruning_keeps_what_the_first_token_attends_to(kv_heads, fuse):
    x, q, k = normal(B, S, 6), normal(B, A, S, D, seed=1), normal(B, kv_heads, S, D, seed=2)
    whole = (q @ k.expand(-1, A, -1, -1).transpose(-1, -2) / math.sqrt(D)).softmax(-1)
    row = whole[:, :, 0, 1:].mean(1)
    torch.testing.assert_close(class_attention(q, k), row)
    pruned = TokenPruning(PruneTokens(kind="prune", keep=0.6, fuse=fuse))(x, q, k)
    kept = math.ceil(0.6 * (S - 1))
    assert pruned.shape == (B, 1 + kept + fuse, 6)
    for sample in range(B):
        order = sorted(range(S - 1), key=lambda i, row=row[sample]: -row[i])
        expected = [x[sample, 0], *(x[sample, 1 + i] for i in order[:kept])]
        if fuse:
            expected.append(sum(x[sample, 1 + i] * row[sample, i] for i in order[kept:]))
        torch.testing.assert_close(pruned[sample], torch.stack(expected))


def test_a_fused_token_hands_gradients_to_all_that_it_is_made_of():
    x = normal(B, S, 6).requires_grad_()
    q, k = (normal(B, A, S, D, seed=seed).requires_grad_() for seed in (1, 2))
    TokenPruning(PruneTokens(kind="prune", keep=0.5))(x, q, k).square().sum().backward()
    assert (x.grad != 0).all()
    assert (k.grad != 0).all()
    assert (q.grad[:, :, 0] != 0).all()
    assert not q.grad[:, :, 1:].any()


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_pooling_is_that_of_funnel(mode):
    structure = FunnelAttentionStructure(FunnelConfig(separate_cls=True, truncate_seq=True))
    x = normal(B, 16, 6)
    expected = structure.pool_tensor(x, mode=mode)
    torch.testing.assert_close(TokenPooling(2, mode, True, None)(x), expected)


@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_pooled_queries_see_all_tokens(norm_position):
    pool = {"kind": "pool", "queries_only": True}
    network, _ = build(request(**CLASSES, repeat=1, tokens=pool, norm_position=norm_position))
    (block,) = network.groups[0].blocks
    x = torch.randn(B, 8, 32)
    pooled = torch.stack([x[:, 0], *(x[:, i : i + 2].mean(1) for i in (1, 3, 5))], dim=1)
    seen = [block.norm(pooled), block.norm(x)] if norm_position == "pre" else [pooled, x]
    q, k, v = (
        proj(tokens).unflatten(-1, (4, 8)).transpose(1, 2)
        for proj, tokens in zip(
            (block.attention.qkv.q_proj, block.attention.qkv.k_proj, block.attention.qkv.v_proj),
            (seen[0], seen[1], seen[1]),
            strict=True,
        )
    )
    mixed = (q @ k.transpose(-1, -2) / math.sqrt(8)).softmax(-1) @ v
    added = block.attention.out_proj(mixed.transpose(1, 2).flatten(2))
    if norm_position == "pre":
        stream = pooled + added
        expected = stream + block.feed_forward(stream)
    else:
        expected = block.feed_forward(block.norm(pooled + added))
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_pooling_of_images_takes_squares_of_patches():
    x = normal(B, 1 + 4 * 6, 5)
    pooled = TokenPooling(2, "mean", True, (4, 6))(x)
    assert pooled.shape == (B, 1 + 2 * 3, 5)
    image = x[:, 1:].view(B, 4, 6, 5)
    torch.testing.assert_close(pooled[:, 0], x[:, 0])
    torch.testing.assert_close(pooled[:, 1 + 1 * 3 + 2], image[:, 2:4, 4:6].mean((1, 2)))


def test_patch_merging_is_that_of_swin():
    theirs = SwinPatchMerging(8).double()
    ours = PatchMerging(8, 16, (4, 6)).double()
    ours.load_state_dict(theirs.state_dict())
    x = normal(B, 24, 8)
    torch.testing.assert_close(ours(x), theirs(x, (4, 6)))


def tokens_seen(asked):
    """S of each block's input, by execution."""
    network, inputs = build(asked)
    seen = []
    for group in network.groups:
        for block in dict.fromkeys(group.blocks):
            block.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    network(**inputs)
    return seen


@pytest.mark.parametrize("name", [name for name in SCHEDULED if "revers" not in name])
def test_blocks_see_as_many_tokens_as_the_schedule_says(name):
    asked = request(**SCHEDULED[name])
    model, expected = asked.model, []
    for group, stage in zip(
        model.blocks, stages(model, model.tokens(asked.workload.sequence_length)), strict=True
    ):
        counts = [layout.count for layout in stage.blocks]
        # Where only queries are pooled the entry's first block gets all tokens.
        all_tokens = getattr(group.tokens, "queries_only", False)
        expected += [stage.before.count, *counts[1:]] if all_tokens else counts
    assert tokens_seen(asked) == expected


def test_merging_leaves_r_tokens_less_in_each_block():
    model = PRESETS["tome-vit"].description("paper")
    (stage,) = stages(model, model.tokens(0))
    assert [layout.count for layout in stage.blocks] == [197 - 13 * block for block in range(12)]


def test_evit_keeps_seven_tenths_three_times():
    model = PRESETS["evit"].description("paper")
    counts = [layout.count for stage in stages(model, model.tokens(0)) for layout in stage.blocks]
    # 196 patches -> 138 and one -> 98 and one (of 139: 97.3) -> 70 and one (of 99: 69.3)
    assert counts == [197] * 4 + [140] * 3 + [100] * 3 + [72] * 2


def test_what_blocks_save_falls_as_their_tokens_do():
    asked = request(**CLASSES, tokens={"kind": "merge", "r": 5}, repeat=4)
    saved = saved_bytes_by_module(trace(asked, BUILTIN["cpu"]))
    (stage,) = stages(asked.model, asked.model.tokens(asked.workload.sequence_length))
    after = [layout.count - 5 for layout in stage.blocks]
    parts = [saved[f"groups.0.blocks.{block}.feed_forward"] for block in range(4)]
    each = parts[0] / after[0]
    assert parts == [each * count for count in after]
    # The whole network saves what its tokens of all blocks add up to, not L times S.
    plain = saved_bytes_by_module(trace(request(**CLASSES, repeat=4), BUILTIN["cpu"]))
    whole = sum(plain[f"groups.0.blocks.{block}.feed_forward"] for block in range(4))
    assert sum(parts) / whole == sum(after) / (4 * 32)
