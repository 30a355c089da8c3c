import numpy as np
import pytest
import torch

from planner.answers import search_designs
from planner.designs.capacity import capacity, channel_capacity, drawn_capacity
from planner.devices import BUILTIN
from planner.models.build import build_model
from planner.trace import trace
from tests.planner.designs.spaces import BERT
from tests.planner.requests import TINY, request


def of_bert(monkeypatch, **config):
    monkeypatch.setitem(TINY, "bert", TINY["bert"] | config)
    asked = request("bert", "fill-mask", mode="inference", sequence_length=8)
    return capacity(trace(asked, BUILTIN["cpu"]))


class TestMatrices:
    @pytest.mark.parametrize("shape", [(64, 64), (64, 256), (256, 64)])
    def test_real_weights_have_the_drawn_ones_capacity(self, shape):
        torch.manual_seed(1)
        weight = torch.nn.Linear(shape[1], shape[0]).weight.detach().double().numpy()
        assert channel_capacity(weight) == pytest.approx(drawn_capacity(*shape), rel=0.01)

    def test_it_is_the_sum_over_the_singular_values(self):
        drawn = np.random.default_rng(2).standard_normal((30, 12))
        singular = np.linalg.svd(drawn / drawn.std(), compute_uv=False)
        expected = np.log2(1 + singular**2 / 12).sum()
        assert channel_capacity(drawn) == pytest.approx(expected)

    def test_scale_does_not_count(self):
        drawn = np.random.default_rng(3).standard_normal((20, 30))
        assert channel_capacity(drawn) == pytest.approx(channel_capacity(7 * drawn))

    def test_no_rank_no_capacity(self):
        drawn = np.random.default_rng(3).standard_normal((40, 40))
        flat = np.outer(drawn[0], drawn[1])
        assert channel_capacity(flat) < channel_capacity(drawn) / 5
        assert channel_capacity(np.ones((4, 4))) == 0

    def test_large_matrices_are_drawn_smaller_in_the_same_ratio(self):
        whole = channel_capacity(np.random.default_rng(5).standard_normal((700, 1400)))
        assert drawn_capacity(700, 1400) == pytest.approx(whole, rel=0.01)


class TestModels:
    def test_wider_and_deeper_is_more(self, monkeypatch):
        base = of_bert(monkeypatch)
        wider = of_bert(monkeypatch, hidden_size=192)
        longer = of_bert(monkeypatch, intermediate_size=512, hidden_size=128)
        deeper = of_bert(monkeypatch, num_hidden_layers=3, intermediate_size=256)
        assert wider.attention > base.attention
        assert wider.feed_forward > base.feed_forward
        assert longer.attention == base.attention
        assert longer.feed_forward > base.feed_forward
        assert deeper.attention == pytest.approx(1.5 * base.attention)
        assert deeper.feed_forward == pytest.approx(1.5 * base.feed_forward)

    def test_embeddings_do_not_count_and_heads_make_no_difference(self, monkeypatch):
        base = of_bert(monkeypatch)
        assert of_bert(monkeypatch, vocab_size=2000) == base
        assert of_bert(monkeypatch, num_attention_heads=4) == base

    def test_it_is_what_the_librarys_own_weights_have(self, monkeypatch):
        found = of_bert(monkeypatch)
        asked = request("bert", "fill-mask", mode="inference")
        torch.manual_seed(0)
        model = build_model(asked.model, asked.workload)
        real = sum(
            channel_capacity(weight.detach().double().numpy())
            for name, weight in model.named_parameters()
            if ".layer." in name and weight.dim() == 2
        )
        assert found.attention + found.feed_forward == pytest.approx(real, rel=0.02)

    def test_more_parameters_are_not_always_more(self, monkeypatch):
        """What sets it apart from its baseline: a narrow model with a wide feed-forward."""
        narrow = of_bert(monkeypatch, hidden_size=64, intermediate_size=1024)
        square = of_bert(monkeypatch, hidden_size=128, intermediate_size=128)
        parameters = {"narrow": 4 * 64**2 + 2 * 64 * 1024, "square": 4 * 128**2 + 2 * 128**2}
        assert parameters["narrow"] > parameters["square"]
        assert narrow.score(0.5) < square.score(0.5)


def test_real_designs_are_searched_by_the_librarys_own_call():
    body = BERT | {
        "transformer": {"hidden": [32, 64], "heads": [2], "layers": [1, 2]},
        "objective": "score",
        "constraints": {"peak_bytes": "1GiB"},
        "evaluations": 4,
    }
    answer = search_designs(body)
    scores = {tuple(d.choices.values()): d.metrics.score for d in answer.designs}
    assert answer.best.choices["/model/config/hidden_size"] == 64
    assert scores[64, 2, 2] > scores[64, 2, 1] > scores[32, 2, 1]
    assert answer.best.metrics.score == max(scores.values())
    assert answer.best.metrics.memory_use is None, "the CPU's memory is its host's"


def test_devices_are_an_axis_gpus_and_accelerators_among_them():
    prices = {"t4": 0.4, "h100-80gb": 3.0, "acceltran-edge": 0.1}
    config = {"model_type": "bert", "vocab_size": 500, "hidden_size": 768, "num_hidden_layers": 3}
    body = {
        "model": {"source": "transformers", "task": "fill-mask", "config": config},
        "workload": {"mode": "inference", "sequence_length": 16},
        "vary": [{"pointer": "/device", "values": [*prices]}],
        "objective": "cost",
        "prices": prices,
        "evaluations": 3,
    }
    answer = search_designs(body)
    found = {design.choices["/device"]: design for design in answer.designs}
    assert not found["acceltran-edge"].feasible, "its buffers do not hold the weights"
    assert answer.best.choices == {"/device": "t4"}
    metrics = answer.best.metrics
    assert metrics.cost == pytest.approx(metrics.step_seconds * 0.4 / 3600)
    assert 0 < metrics.memory_use < 1
