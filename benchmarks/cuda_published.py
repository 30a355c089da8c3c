"""What others measured on GPUs and published, beside our simulation of it on a host without one.

    python -m benchmarks.cuda_published [--write benchmarks/cuda_published.md]

Only figures whose configuration is known well enough to describe. Those of whole devices (NVML)
are compared with what the allocator reserves and the context that the same source read on its
device; differences between two sizes of a model are free of the context.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.check import check
from planner.devices import BUILTIN
from planner.predict import predict
from planner.prediction import Prediction
from planner.request import SimulationRequest
from planner.trace import trace
from planner.versions import versions

MIB = 2**20


@dataclass(frozen=True)
class Figure:
    """A published figure and how it is simulated.

    Attributes:
        published: in MiB (what the sources call MB).
        simulate: the same quantity, in MiB.
        remark: what is known to differ.
    """

    name: str
    source: str
    published: float
    simulate: Callable[[], float]
    remark: str = ""


def simulated(
    config: dict[str, Any], workload: dict[str, Any], device: str, **request: Any
) -> Prediction:
    """The prediction of a transformers model with eager attention."""
    model = {"source": "transformers", "attention": "eager", "config": config}
    model["task"] = request.pop("task", "text-classification")
    body = {"model": model, "workload": workload, "device": device, **request}
    checked = check(SimulationRequest.model_validate(body))
    profile = BUILTIN[device]
    return predict(trace(checked, profile), profile)


# ---------------------------------------------------------------- Hugging Face: BERT-large, V100

_LARGE = {
    "model_type": "bert", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096,
}  # fmt: skip
_LOOP = {"name": "adamw", "foreach": False}  # AdamW of transformers was a loop over parameters
_CONTEXT = 1343  # MiB that the same page reads with a context alone, V100, CUDA 11.2
_HF_TRAINING = "Hugging Face, Performance and scalability, bert-large-uncased, V100 16 GB, NVML"


def _bert_large(checkpointing: str = "none", **workload: Any) -> Callable[[], float]:
    def run() -> float:
        asked = {"mode": "train", "sequence_length": 512, "optimizer": _LOOP, **workload}
        strategy = {"checkpointing": checkpointing}
        found = simulated(_LARGE, asked, "v100-16gb", strategy=strategy)
        assert found.reserved_bytes is not None
        return found.reserved_bytes / MIB + _CONTEXT

    return run


_KEPT = "that Trainer's zero_grad kept gradients (1,278 MiB), ours sets them to none"


def _hugging_face_training() -> Iterator[Figure]:
    one = {"batch_size": 1, "gradient_accumulation_steps": 4}
    adafactor = {"name": "adafactor"}
    for name, published, run, remark in (
        ("batch 1 x 4, fp32, AdamW", 8681, _bert_large(**one), ""),
        ("the same, checkpointing", 6775, _bert_large("full", **one), ""),
        (
            "the same, checkpointing, fp16 autocast",
            7275,
            _bert_large("full", **one, precision="amp-fp16"),
            "",
        ),
        ("batch 4, fp32, AdamW", 14949, _bert_large(batch_size=4), _KEPT),
        (
            "batch 4, fp16 autocast, AdamW",
            13939,
            _bert_large(batch_size=4, precision="amp-fp16"),
            _KEPT,
        ),
        (
            "batch 4, fp32, Adafactor",
            12295,
            _bert_large(batch_size=4, optimizer=adafactor),
            _KEPT,
        ),
    ):
        yield Figure(name, _HF_TRAINING, published, run, remark)


# ---------------------------------------------------------- Hugging Face: BERT-base and Reformer

_HF_REFORMER = "Hugging Face, The Reformer, fp32, forward and backward, batch 8 x 512, slope"


def _slope(config: dict[str, Any], few: dict[str, Any], many: dict[str, Any]) -> float:
    workload = {"batch_size": 8, "sequence_length": 512, "optimizer": {"name": "sgd"}}
    task = "text-classification"
    less, more = (
        simulated({**config, **layers}, workload, "rtx-3090", task=task).reserved_bytes
        for layers in (few, many)
    )
    assert less is not None
    assert more is not None
    return (more - less) / MIB


def _bert_layers() -> float:
    return _slope({"model_type": "bert"}, {"num_hidden_layers": 4}, {"num_hidden_layers": 12})


_ENWIK8 = {
    "model_type": "reformer", "hidden_size": 1024, "num_attention_heads": 8,
    "attention_head_size": 128, "feed_forward_size": 4096, "axial_pos_shape": [16, 32],
    "axial_pos_embds_dim": [256, 768], "num_hashes": 1, "local_attn_chunk_length": 128,
    "lsh_attn_chunk_length": 256, "num_buckets": 4, "vocab_size": 258, "is_decoder": False,
}  # fmt: skip


def _reformer_layers() -> float:
    four = ["local", "local", "lsh", "local"]
    return _slope(_ENWIK8, {"attn_layers": four}, {"attn_layers": four * 3})


# --------------------------------------------------------------------------- reversible ViT paper

_REV_VIT = "Mangalam et al. 2022, arXiv 2302.04869, table 1: ViT column, memory per image"


def _vit(width: int, layers: int, heads: int) -> Callable[[], float]:
    def run() -> float:
        config = {
            "model_type": "vit", "hidden_size": width, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": 4 * width,
        }  # fmt: skip
        ends = [
            simulated(
                config,
                {"batch_size": batch, "optimizer": {"name": "sgd"}},
                "v100-16gb",
                task="image-classification",
            )
            .phases[0]
            .end_bytes
            for batch in (2, 10)
        ]
        return (ends[1] - ends[0]) / 8 / MIB

    return run


FIGURES = [
    *_hugging_face_training(),
    Figure("BERT-base, 8 layers more", _HF_REFORMER, 7415 - 4103, _bert_layers),
    Figure("Reformer (enwik8), 8 layers more", _HF_REFORMER, 5367 - 4607, _reformer_layers),
    Figure("ViT-S", _REV_VIT, 66.5, _vit(384, 12, 6)),
    Figure("ViT-B", _REV_VIT, 129.7, _vit(768, 12, 12)),
    Figure("ViT-L", _REV_VIT, 349.3, _vit(1024, 24, 16)),
]

HEADER = (
    "| figure | published MiB | simulated MiB | difference | source | remark |\n"
    "|---|---:|---:|---:|---|---|"
)


def line(figure: Figure) -> str:
    """A row of the table; simulates it."""
    try:
        found = figure.simulate()
    except Exception as error:  # one figure must not cost the others
        return f"| {figure.name} | {figure.published:,.1f} | - | - | {figure.source} | {error} |"
    off = found / figure.published - 1
    return (
        f"| {figure.name} | {figure.published:,.1f} | {found:,.1f} | {off:+.1%} "
        f"| {figure.source} | {figure.remark} |"
    )


def main() -> None:
    """Print the table as it comes; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    lines = []
    print(HEADER, flush=True)
    for figure in FIGURES:
        lines.append(line(figure))
        print(lines[-1], flush=True)
    if options.write:
        used = ", ".join(f"{name} {version}" for name, version in versions().items())
        title = (
            "# Published GPU memory, simulated without a GPU\n\n"
            "`python -m benchmarks.cuda_published`"
        )
        options.write.write_text(f"{title}; {used}.\n\n{HEADER}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
