"""Every way to mix tokens computes what its paper's equation says."""

import math

import pytest
import torch
import torch.nn.functional as F
from transformers import NystromformerConfig
from transformers.models.nystromformer.modeling_nystromformer import NystromformerSelfAttention

from planner.models.architecture.block_sparse import BlockSparseMixer
from planner.models.architecture.dense import EagerMixer, SdpaMixer
from planner.models.architecture.fourier import FourierMixer
from planner.models.architecture.linear import linear_attention
from planner.models.architecture.linformer import LinformerMixer
from planner.models.architecture.lsh import LSHMixer
from planner.models.architecture.nystrom import NystromMixer
from planner.models.architecture.performer import PerformerMixer
from planner.models.architecture.sliding_window import SlidingWindowMixer
from planner.models.architecture.sparse import sparse_mixer
from tests.planner.models.architecture.descriptions import DECODERS, build, request

B, A, S, D = 2, 4, 24, 8
PLACE = torch.arange(S)
QUERY, KEY = PLACE[:, None], PLACE


@pytest.fixture
def qkv():
    torch.manual_seed(0)
    return torch.randn(3, B, A, S, D, dtype=torch.float64).unbind()


def masked_softmax(q, k, v, seen):
    """Attention over the pairs that see each other; 0 where a query sees nothing."""
    scores = (q @ k.transpose(-1, -2) / math.sqrt(D)).masked_fill(~seen, -math.inf)
    return scores.softmax(-1).nan_to_num() @ v


@pytest.mark.parametrize("causal", [False, True])
def test_eager_attention_is_torchs_own(qkv, causal):
    torch.testing.assert_close(EagerMixer(causal, 0.0)(*qkv), SdpaMixer(causal, 0.0)(*qkv))


def test_grouped_queries_share_keys_and_values(qkv):
    q, k, v = qkv[0], qkv[1][:, :2], qkv[2][:, :2]
    for mixer in (EagerMixer(True, 0.0), SdpaMixer(True, 0.0), SlidingWindowMixer(6, True)):
        repeated = mixer(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))
        torch.testing.assert_close(mixer(q, k, v), repeated)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [1, 4, 12, 24])
def test_a_sliding_window_is_a_band_of_the_scores(qkv, window, causal):
    distance = QUERY - KEY
    band = (distance >= 0) & (distance < window) if causal else distance.abs() < window
    mixed = SlidingWindowMixer(window, causal)(*qkv)
    torch.testing.assert_close(mixed, masked_softmax(*qkv, band))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pattern", ["strided", "fixed"])
@pytest.mark.parametrize("factors", ["first", "second"])
def test_sparse_patterns_are_those_of_section_4(qkv, pattern, factors, causal):
    stride, summary = 6, 2
    seen = {
        ("strided", "first"): (QUERY - KEY).abs() < stride,
        ("strided", "second"): (QUERY - KEY) % stride == 0,
        ("fixed", "first"): QUERY // stride == KEY // stride,
        ("fixed", "second"): (KEY % stride >= stride - summary).expand(S, S),
    }[pattern, factors]
    if causal:
        seen = seen & (KEY <= QUERY)
    mixed = sparse_mixer(pattern, stride, summary, factors, causal)(*qkv)
    torch.testing.assert_close(mixed, masked_softmax(*qkv, seen))


def test_half_of_the_heads_have_each_sparse_pattern(qkv):
    both = sparse_mixer("strided", 6, 1, "heads", True)(*qkv)
    first, second = (sparse_mixer("strided", 6, 1, f, True)(*qkv) for f in ("first", "second"))
    torch.testing.assert_close(both, torch.cat([first[:, :2], second[:, 2:]], dim=1))


@pytest.mark.parametrize("causal", [False, True])
def test_blocks_see_the_blocks_of_their_row(qkv, causal):
    block = 4
    mixer = BlockSparseMixer(block, S // block, 3, 1, 1, causal, seed=0)
    seen = torch.zeros(S // block, S // block, dtype=torch.bool)
    for row, (columns, absent) in enumerate(zip(mixer.table, mixer.absent, strict=True)):
        seen[row, columns[~absent]] = True
    if not causal:
        seen[0] = True  # the global block sees all
    seen = seen.repeat_interleave(block, 0).repeat_interleave(block, 1)
    if causal:
        seen &= KEY <= QUERY
    assert seen.diagonal().all()
    assert not seen.all()
    torch.testing.assert_close(mixer(*qkv), masked_softmax(*qkv, seen))


def test_linformer_with_identity_projections_is_attention(qkv):
    identity = torch.nn.Parameter(torch.eye(S, dtype=torch.float64)[None])
    mixed = LinformerMixer(identity, identity)(*qkv)
    torch.testing.assert_close(mixed, EagerMixer(False, 0.0)(*qkv))


@pytest.mark.parametrize("causal", [False, True])
def test_performer_estimates_softmax_attention(qkv, causal):
    torch.manual_seed(1)
    q, k, v = (x.float() / 2 for x in qkv)
    exact = EagerMixer(causal, 0.0)(q, k, v)

    def error(features):
        mixer = PerformerMixer(D, features, "softmax", None, 6 if causal else None)
        return (mixer(q, k, v) - exact).abs().mean()

    # A mean of m estimates: 256 times as many have about a 16th of the error.
    assert error(2**14) < 0.005
    assert error(2**14) < error(2**6) / 4


def test_performer_features_are_orthogonal_and_redrawn_in_place():
    mixer = PerformerMixer(D, 2 * D, "softmax", 1, None)
    first, place = mixer.projection.clone(), mixer.projection.data_ptr()
    for block in first.split(D):
        products = F.normalize(block) @ F.normalize(block).T
        torch.testing.assert_close(products, torch.eye(D), atol=1e-5, rtol=0)
    mixer.redraw()
    assert mixer.projection.data_ptr() == place
    assert not torch.equal(mixer.projection, first)


@pytest.mark.parametrize("chunk_size", [None, 1, 6, 24])
def test_linear_attention_in_chunks_is_the_naive_sum(qkv, chunk_size):
    q, k, v = qkv
    q, k = F.elu(q) + 1, F.elu(k) + 1
    weights = q @ k.transpose(-1, -2)
    if chunk_size is not None:
        weights = weights.tril()
    naive = weights @ v / weights.sum(-1, keepdim=True)
    chunked = linear_attention(q, k, v, chunk_size=chunk_size, epsilon=0.0)
    torch.testing.assert_close(chunked, naive)


def test_nystrom_is_transformers_own(qkv):
    config = NystromformerConfig(
        hidden_size=A * D, num_attention_heads=A, num_landmarks=6, segment_means_seq_len=S,
        conv_kernel_size=3, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    library = NystromformerSelfAttention(config).double()
    library.init_option = "exact"  # "original" takes the largest sum over the whole batch
    mixer = NystromMixer(A, 6, 6, 3).double()
    mixer.conv.weight = library.conv.weight
    x = torch.randn(B, S, A * D, dtype=torch.float64)
    parts = (layer(x) for layer in (library.query, library.key, library.value))
    heads = (torch.unflatten(part, -1, (A, D)).transpose(1, 2) for part in parts)
    mixed = mixer(*heads).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixed, library(x)[0])


@pytest.mark.parametrize("causal", [False, True])
def test_lsh_with_two_chunks_that_see_each_other_is_attention_of_shared_queries(qkv, causal):
    q, _, v = qkv
    scores = q @ F.normalize(q, dim=-1).transpose(-1, -2) / math.sqrt(D)
    if causal:
        scores = scores.masked_fill(KEY > QUERY, -math.inf)
    scores = scores.masked_fill(KEY == QUERY, -1e5)
    torch.testing.assert_close(LSHMixer(1, 4, S // 2, causal)(q, q, v), scores.softmax(-1) @ v)


@pytest.mark.parametrize("causal", [False, True])
def test_lsh_chunks_see_themselves_and_the_one_before(qkv, causal):
    q, v = qkv[0][:1, :1], qkv[2][:1, :1]
    mixer, chunk, rounds = LSHMixer(2, 4, 6, causal), 6, 2
    torch.manual_seed(3)
    order = mixer._order(q)[0, 0]
    torch.manual_seed(3)
    mixed = mixer(q, q, v)[0, 0]
    tokens = order % S
    assert all(sorted(tokens[r * S : r * S + S].tolist()) == PLACE.tolist() for r in range(rounds))
    q, v, keys = q[0, 0], v[0, 0], F.normalize(q[0, 0], dim=-1)
    values = torch.zeros(rounds, S, D, dtype=q.dtype)
    weights = torch.zeros(rounds, S, dtype=q.dtype)
    for place, token in enumerate(tokens.tolist()):
        start = place // chunk * chunk
        seen = tokens[[i % len(tokens) for i in range(start - chunk, start + chunk)]]
        scores = q[token] @ keys[seen].T / math.sqrt(D)
        if causal:
            scores = scores.masked_fill(seen > token, -math.inf)
        scores = scores.masked_fill(seen == token, -1e5)
        values[place // S, token] = scores.softmax(-1) @ v[seen]
        weights[place // S, token] = scores.logsumexp(-1)
    expected = (values * weights.softmax(0)[..., None]).sum(0)
    torch.testing.assert_close(mixed, expected)


def test_fourier_mixing_is_two_transforms():
    x = torch.randn(B, S, D)
    expected = torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real
    torch.testing.assert_close(FourierMixer()(x), expected)


# Hashing looks at all tokens to sort them: what LSH attends to depends on later ones.
@pytest.mark.parametrize("name", sorted(set(DECODERS) - {"lsh", "experts"}))
def test_decoders_see_no_later_token(name):
    network, inputs = build(request(**DECODERS[name], workload={"mode": "inference"}))
    ids = inputs["input_ids"]
    changed = ids.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % 64
    with torch.no_grad():
        before, after = network(input_ids=ids), network(input_ids=changed)
    # The Performer's stabiliser is of all keys, as in its authors' code; it cancels but for 1e-4.
    tolerance = 1e-3 if name == "performer" else 1e-5
    torch.testing.assert_close(before[:, :20], after[:, :20], atol=tolerance, rtol=0)
    assert not torch.allclose(before[:, 20:], after[:, 20:], atol=1e-3)
