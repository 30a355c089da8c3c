"""Systems with fewer parameters, fewer that learn, or fewer tokens."""

from __future__ import annotations

from typing import Any

from benchmarks.systems_figures import block_gmacs, million_parameters, parameter_bytes
from benchmarks.systems_rows import Figure, System, asked, library, network, preset, small

MASKED = "fill-mask"
ENCODED = "feature-extraction"  # papers count parameters without a head
CLASSIFIED = "text-classification"
WHOLE = {"kind": "dense", "num_heads": 12}


def twins(model: dict[str, Any], batch: int, length: int, **more: Any) -> dict[str, Any]:
    """A model of transformers with both kinds of plain attention."""
    return {
        kind: asked({**model, "attention": kind}, batch, length, **more)
        for kind in ("eager", "sdpa")
    }


def bert(**config: Any) -> dict[str, Any]:
    """BERT base."""
    return library("bert", MASKED, **config)


def images(name: str, batch: int = 16) -> dict[str, Any]:
    """A preset over images, in its paper's size."""
    return asked(preset(name), batch, 1)


VIT = twins(library("vit", "image-classification"), 16, 1)

COMPACT = (
    System(
        "MobileBERT",
        "arXiv 2004.02984; transformers",
        "A quarter of BERT's parameters, but 24 layers with four feed-forwards each: activations"
        " do not shrink with them.",
        small("mobilebert"),
        asked(library("mobilebert", MASKED), 8, 128),
        twins(bert(), 8, 128),
        (Figure("parameters", 25.3, "M", million_parameters("mobilebert", ENCODED)),),
    ),
    System(
        "DistilBERT",
        "arXiv 1910.01108; transformers",
        "Half the layers: half of the layers' parameters, gradients, states and activations; the"
        " embedding stays whole.",
        small("distilbert"),
        asked(library("distilbert", MASKED), 8, 128),
        twins(bert(), 8, 128),
        (Figure("parameters", 66, "M", million_parameters("distilbert", ENCODED)),),
    ),
    System(
        "ALBERT",
        "arXiv 1909.11942; transformers",
        "Parameters, gradients and optimizer states of one layer; activations of all twelve.",
        small("albert-base"),
        asked(preset("albert-base"), 8, 128),
        twins(bert(), 8, 128),
        (Figure("parameters", 12, "M", million_parameters("albert-base", ENCODED)),),
    ),
    System(
        "adapter-ALBERT",
        "arXiv 2303.16100",
        "Gradients and states of adapters, norms and classifier only; a frozen layer still keeps"
        " what its nonlinear parts need, for every layer.",
        small("adapter-albert"),
        asked(preset("adapter-albert"), 8, 128),
        twins(preset("albert-base"), 8, 128),
    ),
    System(
        "FAR",
        "arXiv 2205.01541",
        "Gradients, states and weight gradients' FLOPs of the frozen nodes. Activations are those"
        " of the whole, though its abstract says otherwise; its priming needs a copy besides.",
        small("far-distilbert"),
        asked(preset("far-distilbert"), 8, 128),
        twins(library("distilbert", CLASSIFIED), 8, 128),
    ),
    System(
        "LoRA",
        "arXiv 2106.09685; peft",
        "Gradients and states of all but the adapters. Activations fall by the inputs of frozen"
        " matrices only, and with dropout each adapter keeps a copy of its own.",
        {**small("llama-3.1-8b"), "model": {**preset("llama-3.1-8b", "small"), "lora": {"r": 8}}},
        asked({**bert(), "lora": {"r": 8, "target_modules": ["query", "value"]}}, 8, 128),
        twins(bert(), 8, 128),
    ),
    System(
        "Low-rank maps",
        "V U^T in place of each matrix",
        "r (in + out) numbers instead of in x out; r numbers a token more are kept.",
        {"model": network({**WHOLE, "projection": {"kind": "linear", "rank": 64}}, block={
            "repeat": 2, "feed_forward": {"kind": "dense", "rank": 64}})},
        asked(
            network(
                {**WHOLE, "projection": {"kind": "linear", "rank": 64}},
                block={"feed_forward": {"kind": "dense", "rank": 64}},
            ),
            8,
            128,
        ),
        {
            kind: asked(network({**WHOLE, "implementation": kind}), 8, 128)
            for kind in ("eager", "sdpa")
        },
    ),
    System(
        "Resource-Efficient Transformer",
        "arXiv 2501.00042",
        "Half the width and half the heads: all of its published saving. Pruning and quantization"
        " are not in its numbers.",
        small("resource-efficient-transformer"),
        figures=(
            Figure(
                "bytes before", 1_122_304, "B",
                parameter_bytes("resource-efficient-transformer-before"),
            ),
            Figure("bytes", 536_576, "B", parameter_bytes("resource-efficient-transformer")),
        ),
    ),
    System(
        "MemoryFormer",
        "arXiv 2411.12992",
        "Multiplications, not memory: its tables hold 22 times the numbers of the matrices that"
        " they replace, and their gradients are dense.",
        small("memoryformer"),
        asked(preset("memoryformer"), 1, 512),
        {
            kind: asked(
                library(
                    "gpt_neox", "text-generation", hidden_size=512, num_hidden_layers=6,
                    num_attention_heads=8, intermediate_size=2_048, vocab_size=50_304,
                )
                | {"attention": kind},
                1,
                512,
            )
            for kind in ("eager", "sdpa")
        },
        (
            Figure("a block, S2048", 4.7, "GMAC", block_gmacs(preset("memoryformer"), 2_048)),
        ),
    ),
    System(
        "Mixture of experts, Mixtral",
        "arXiv 2401.04088; transformers",
        "FLOPs of the experts that a token does not go to; all their parameters, gradients and"
        " states are there.",
        small("mixtral-8x7b"),
        figures=(Figure("parameters", 46_700, "M", million_parameters("mixtral-8x7b")),),
    ),
)  # fmt: skip

VISION = (
    System(
        "Token merging, ToMe",
        "arXiv 2210.09461",
        "Activations of the tokens that are gone: ViT-B loses 13 of 197 in each block.",
        small("tome-vit"),
        images("tome-vit"),
        VIT,
    ),
    System(
        "Token pruning, EViT",
        "arXiv 2202.07800",
        "30 % of the tokens at each of three blocks, so half of the activations of the last ones.",
        small("evit"),
        images("evit"),
        twins(
            library(
                "vit",
                "image-classification",
                hidden_size=384,
                num_attention_heads=6,
                intermediate_size=1_536,
            ),
            16,
            1,
        ),
    ),
    System(
        "Swin",
        "arXiv 2103.14030; transformers",
        "Scores of S x 49 instead of S x S, and fewer tokens at each stage; windows are copied.",
        small("swin-tiny"),
        asked(library("swin", "image-classification"), 16, 1),
        VIT,
        (Figure("parameters", 28.3, "M", million_parameters("swin-tiny")),),
    ),
    System(
        "PVT v2",
        "arXiv 2106.13797; transformers",
        "Keys and values of fewer places: S x S / R^2 scores.",
        small("pvt-v2-b1"),
        asked(preset("pvt-v2-b1"), 16, 1),
        VIT,
        (Figure("parameters", 14.0, "M", million_parameters("pvt-v2-b1")),),
    ),
    System(
        "PoolFormer",
        "arXiv 2111.11418; transformers",
        "No scores and no projections of attention; its pyramid has more places than ViT has"
        " tokens.",
        small("poolformer-s12"),
        asked(preset("poolformer-s12"), 16, 1),
        VIT,
        (Figure("parameters", 12, "M", million_parameters("poolformer-s12")),),
    ),
    System(
        "FlexiBERT",
        "arXiv 2205.11656",
        "Heads that are transforms or convolutions have fewer projections and no scores; DFT heads"
        " need complex numbers for a moment.",
        small("flexibert"),
        asked(preset("flexibert"), 8, 128),
        twins(
            bert(
                hidden_size=256,
                num_hidden_layers=4,
                num_attention_heads=4,
                intermediate_size=1_024,
            ),
            8,
            128,
        ),
    ),
    System(
        "Funnel",
        "arXiv 2006.03236",
        "Half of the tokens after each of its blocks; attention still sees all at the passage.",
        small("funnel-encoder"),
        asked(preset("funnel-encoder"), 8, 128),
        twins(library("bert", CLASSIFIED), 8, 128),
    ),
)
