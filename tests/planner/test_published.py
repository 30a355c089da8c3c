"""What papers and others measured and published, or what is exactly known of their models.

Those of attention on GPUs are in `tracing/cuda/test_published.py`; each technique's own numbers are
beside it in `models/`.
"""

import functools
import math

import pytest

from planner.check import check
from planner.devices import BUILTIN
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace

MIB = 2**20
UNDROPPED = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def traced(model, workload, device="cpu", strategy=None):
    body = {"model": model, "workload": workload, "device": device, "strategy": strategy or {}}
    asked = check(SimulationRequest.model_validate(body))
    return trace(asked, BUILTIN[device])


def kept_mib(model, batch, length, **asked):
    """What a training step's forward leaves for its backward."""
    workload = {"batch_size": batch, "sequence_length": length, "optimizer": {"name": "sgd"}}
    tape = traced(model, workload, **asked)
    first, end = tape.phase_events[tape.phases.index("step0.forward")]
    return (tape.live_bytes[end - 1] - tape.live_bytes[first - 1]) / MIB


def library(model_type, attention=None, **config):
    model = {
        "source": "transformers",
        "task": "feature-extraction",
        "config": {"model_type": model_type, **config},
    }
    return {**model, "attention": attention} if attention else model


def blocks(task="feature-extraction", *, hidden, embedding, repeat, attention, **more):
    group = {"repeat": repeat, "attention": attention, "feed_forward": {"kind": "dense"}, **more}
    return {
        "source": "architecture",
        "task": task,
        "hidden_size": hidden,
        "embedding": embedding,
        "blocks": [group],
    }


GENERATING = {"task": "text-generation"}


@pytest.mark.parametrize(
    ("model", "millions"),
    [
        (library("bert"), 109.48),
        (library("distilbert"), 66.36),
        (library("mobilebert"), 24.84),
        (library("albert", hidden_size=768, num_attention_heads=12, intermediate_size=3072), 11.68),
        (library("swin"), 27.52),
        ({**library("mixtral"), **GENERATING}, 46_702.79),
        (
            {
                **library(
                    "gpt_neox",
                    hidden_size=512,
                    num_hidden_layers=6,
                    num_attention_heads=8,
                    intermediate_size=2048,
                    vocab_size=50_304,
                ),
                **GENERATING,
            },
            70.43,
        ),
    ],
    ids=["BERT", "DistilBERT", "MobileBERT", "ALBERT", "Swin-T", "Mixtral-8x7B", "Pythia-70M"],
)
def test_parameters(model, millions):
    """As their cards and papers say; Mixtral's prediction holds nothing of its 187 GB."""
    tape = traced(model, {"mode": "inference", "sequence_length": 8})
    assert simulate(tape).parameter_count / 1e6 == pytest.approx(millions, abs=0.005)


SPARSE = {
    "eager": (library("bert", "eager"), (48.6, 161.1, 578.2)),
    "sdpa": (library("bert", "sdpa"), (16.6, 33.2, 66.3)),
    "longformer": (library("longformer", attention_window=256), (40.4, 81.1, 162.4)),
    "big_bird": (library("big_bird", block_size=64), (58.6, 121.1, 246.2)),
    "nystromformer": (library("nystromformer", num_landmarks=64), (39.5, 74.0, 143.1)),
}


@pytest.mark.parametrize("name", SPARSE)
def test_attention_saves_what_hooks_counted(name):
    """Two layers of width 128, batch 1: of torch's saved tensors, counted on real ones. Sparse
    attention is linear in the sequence, and still more than the fused kernel keeps.
    """
    model, published = SPARSE[name]
    shape = {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "max_position_embeddings": 4_098,
        **UNDROPPED,
    }
    for length, mib in zip((1024, 2048, 4096), published, strict=True):
        config = {**model["config"], **shape}
        if name == "nystromformer":
            config["segment_means_seq_len"] = length
        kept = kept_mib({**model, "config": config}, 1, length)
        assert kept == pytest.approx(mib, abs=0.06)


BERT4 = library("bert", "sdpa", num_hidden_layers=4, **UNDROPPED)
ADAPTED = {"r": 8, "target_modules": ["query", "value"]}


@pytest.mark.parametrize(
    ("change", "strategy", "mib"),
    [
        ({}, {}, 195.3),
        ({"lora": ADAPTED}, {}, 132.5),
        ({"lora": {**ADAPTED, "dropout": 0.1}}, {}, 162.5),
        ({"freeze": ["*.weight"]}, {}, 123.3),
        ({}, {"checkpointing": "full"}, 15.0),
    ],
    ids=["all", "LoRA", "LoRA with dropout", "BitFit", "checkpointing"],
)
def test_what_frozen_weights_save(change, strategy, mib):
    """Four layers of BERT, batch 4 x 256: a frozen linear layer needs no input for its weight's
    gradient, but what is nonlinear still saves, and each adapter drops a copy of its own.
    """
    kept = kept_mib({**BERT4, **change}, 4, 256, strategy=strategy)
    assert kept == pytest.approx(mib, abs=0.06)


def test_shared_layers_keep_the_activations_of_all():
    """ALBERT has the parameters of one layer and the activations of every one."""
    shape = {
        "hidden_size": 128,
        "embedding_size": 128,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        **UNDROPPED,
    }
    shared = [kept_mib(library("albert", num_hidden_layers=n, **shape), 2, 128) for n in (2, 6)]
    del shape["embedding_size"]
    own = [kept_mib(library("bert", num_hidden_layers=n, **shape), 2, 128) for n in (2, 6)]
    # ALBERT's activation is gelu_new, of several ops: a layer saves more, never less.
    assert (shared[1] - shared[0]) >= (own[1] - own[0])


PATCHES = {"kind": "patches"}


@pytest.mark.parametrize(
    ("width", "layers", "published"),
    [(384, 12, 8.8), (768, 12, 17.0), (768, 24, 17.0), (1024, 24, 22.6)],
)
def test_an_image_of_a_reversible_vision_transformer(width, layers, published):
    """Rev-ViT S, B, B of twice the depth and L (Mangalam et al. 2022, arXiv 2302.04869, table 1),
    MB per image: independent of depth. Theirs keeps about a quarter more.
    """
    model = blocks(
        "image-classification",
        hidden=width,
        embedding=PATCHES,
        repeat=layers,
        attention={"kind": "dense", "num_heads": width // 64, "implementation": "eager"},
        residual="reversible",
    )
    few, many = (
        int(
            traced(
                model, {"batch_size": batch, "optimizer": {"name": "sgd"}}, "a100-80gb"
            ).live_bytes.max()
        )
        for batch in (64, 128)
    )
    assert (many - few) / 64 / MIB == pytest.approx(published, rel=0.3)


LINFORMER_SAVES = {  # (length, k): memory of a transformer over a Linformer's
    (512, 128): 1.7,
    (512, 256): 1.5,
    (1024, 128): 3.0,
    (1024, 256): 2.9,
    (1024, 512): 1.8,
    (2048, 128): 6.1,
    (2048, 256): 5.6,
    (2048, 512): 3.6,
    (2048, 1024): 2.0,
    (4096, 128): 14,
    (4096, 256): 13,
    (4096, 512): 8.3,
    (4096, 1024): 4.3,
    (8192, 256): 26,
    (8192, 1024): 8.5,
    (16384, 256): 48,
    (16384, 1024): 16,
}


def bytes_a_sequence(length, **attention):
    """Of inference, beyond what does not grow with the batch."""
    model = blocks(
        hidden=768,
        embedding={"max_positions": length, "vocab_size": 1_000},
        repeat=1,
        attention={"num_heads": 12, **attention},
    )
    one, three = (
        int(
            traced(
                model,
                {"mode": "inference", "batch_size": batch, "sequence_length": length},
                "v100-16gb",
            ).live_bytes.max()
        )
        for batch in (1, 3)
    )
    return (three - one) / 2


def test_linformers_savings():
    """Wang et al. 2020 (arXiv 2006.04768), table 3, right: ratios of the largest batches that fit
    a V100 in inference, up to where theirs saturate. Their width and depth are not told.
    """
    whole = functools.cache(
        lambda length: bytes_a_sequence(length, kind="dense", implementation="eager")
    )
    for (length, k), published in LINFORMER_SAVES.items():
        ratio = whole(length) / bytes_a_sequence(length, kind="linformer", k=k)
        assert ratio == pytest.approx(published, rel=0.35)


def test_segments_of_the_square_root_keep_its_bytes():
    """Chen et al. 2016 (arXiv 1604.06174): n blocks in sqrt(n) segments keep O(sqrt(n))."""

    def working_set(count, segments):
        model = blocks(
            hidden=64,
            embedding={"vocab_size": 64, "max_positions": 128},
            repeat=count,
            attention={"kind": "dense", "num_heads": 2},
        )
        size = count // segments if segments else 0
        units = [
            {
                "module": f"groups.0.blocks.{first}",
                "through": f"groups.0.blocks.{first + size - 1}",
                "action": "recompute",
            }
            for first in (range(0, count, size) if segments else ())
        ]
        workload = {"batch_size": 4, "sequence_length": 128, "optimizer": {"name": "sgd"}}
        found = simulate(traced(model, workload, strategy={"units": units})).at_peak
        return found.activations + found.temporaries

    plain = [working_set(count, None) for count in (9, 36)]
    assert plain[1] / plain[0] == pytest.approx(4, rel=0.1)
    rooted = [working_set(count, math.isqrt(count)) for count in (9, 36)]
    assert rooted[1] / rooted[0] == pytest.approx(2, rel=0.1)
