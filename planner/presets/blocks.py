"""Named architectures: what papers describe and no library ships, small and in a paper's size.

Sizes are those of the papers' main experiments. Of the Performer's, the linear transformer's and
the Sparse Transformer's no configuration file was at hand: they are as their papers tell them, and
only the last one was checked against a printed number (its blocks have 94.6 of 95 million
parameters; positions are learned for each token here).
"""

from __future__ import annotations

from planner.presets.architecture import ArchitecturePreset, blocks, network, tokens
from planner.presets.preset import Fields

_ENCODER: Fields = {"norm_position": "post", "dropout": 0.1}  # as BERT's
_SMALL_TOKENS = tokens(8_192, 512)
_BYTES_PAPER: dict[str, Fields] = {"paper": {"sequence_length": 12_288}}
_BERT_PAPER: dict[str, Fields] = {"paper": {"sequence_length": 512, "batch_size": 8}}

BLOCKS_PRESETS: dict[str, ArchitecturePreset] = {
    "linformer": ArchitecturePreset(
        "fill-mask",
        "encoder with keys and values projected along the sequence",
        "arXiv 2006.04768",
        "Linformer of RoBERTa base's size, k = 256",
        network(
            768,
            tokens(50_265, 512),
            blocks(
                12,
                {"kind": "linformer", "num_heads": 12, "k": 256, "sharing": "layerwise"},
                **_ENCODER,
            ),
        ),
        network(
            256,
            _SMALL_TOKENS,
            blocks(4, {"kind": "linformer", "num_heads": 4, "k": 64}, **_ENCODER),
        ),
        _BERT_PAPER,
    ),
    "performer": ArchitecturePreset(
        "text-generation",
        "decoder with random features instead of softmax",
        "arXiv 2009.14794",
        "Performer on ImageNet 64, bytes of images",
        network(
            512,
            tokens(256, 12_288),
            blocks(
                6,
                {"kind": "performer", "num_heads": 8, "num_features": 256},
                {"kind": "dense", "intermediate_size": 2_048},
            ),
        ),
        network(
            256,
            _SMALL_TOKENS,
            blocks(4, {"kind": "performer", "num_heads": 4, "num_features": 128}),
        ),
        _BYTES_PAPER,
    ),
    "linear-transformer": ArchitecturePreset(
        "text-generation",
        "decoder with linear attention",
        "arXiv 2006.16236",
        "Linear transformer on CIFAR-10, bytes of images",
        network(256, tokens(256, 3_072), blocks(16, {"kind": "linear", "num_heads": 8})),
        network(256, _SMALL_TOKENS, blocks(4, {"kind": "linear", "num_heads": 4})),
        {"paper": {"sequence_length": 3_072}},
    ),
    "sparse-transformer": ArchitecturePreset(
        "text-generation",
        "decoder with fixed sparse patterns",
        "arXiv 1904.10509",
        "Sparse Transformer on enwik8, 95M",
        network(
            512,
            tokens(256, 12_288),
            blocks(
                30,
                {
                    "kind": "sparse",
                    "num_heads": 8,
                    "pattern": "fixed",
                    "stride": 128,
                    "summary_tokens": 32,
                },
            ),
        ),
        network(
            256,
            _SMALL_TOKENS,
            blocks(4, {"kind": "sparse", "num_heads": 4, "pattern": "strided", "stride": 16}),
        ),
        _BYTES_PAPER,
    ),
    "bigbird": ArchitecturePreset(
        "fill-mask",
        "encoder with window, global and random blocks",
        "arXiv 2007.14062",
        "BigBird base, internal transformer construction",
        network(
            768,
            tokens(50_358, 4_096),
            blocks(12, {"kind": "block_sparse", "num_heads": 12}, **_ENCODER),
        ),
        network(
            256,
            _SMALL_TOKENS,
            blocks(
                4,
                {
                    "kind": "block_sparse",
                    "num_heads": 4,
                    "block_size": 16,
                    "global_blocks": 1,
                    "random_blocks": 1,
                },
                **_ENCODER,
            ),
        ),
        {"paper": {"sequence_length": 4_096}},
    ),
    "nystromformer": ArchitecturePreset(
        "fill-mask",
        "encoder with landmarks",
        "arXiv 2102.03902",
        "Nystromformer base, 64 landmarks",
        network(
            768,
            tokens(30_000, 512),
            blocks(
                12,
                {"kind": "nystrom", "num_heads": 12, "num_landmarks": 64, "conv_kernel_size": 65},
                **_ENCODER,
            ),
        ),
        network(
            256,
            _SMALL_TOKENS,
            blocks(4, {"kind": "nystrom", "num_heads": 4, "num_landmarks": 16}, **_ENCODER),
        ),
        _BERT_PAPER,
    ),
    "fnet": ArchitecturePreset(
        "fill-mask",
        "encoder with Fourier transforms instead of attention",
        "arXiv 2105.03824",
        "FNet base",
        network(768, tokens(32_000, 512), blocks(12, {"kind": "fourier"}, **_ENCODER)),
        network(256, _SMALL_TOKENS, blocks(4, {"kind": "fourier"}, **_ENCODER)),
        _BERT_PAPER,
    ),
    "albert-shared": ArchitecturePreset(
        "fill-mask",
        "encoder of one block, called again and again, with a factorised embedding",
        "arXiv 1909.11942",
        "ALBERT base",
        network(
            768,
            tokens(30_000, 512, embedding_size=128),
            blocks(12, {"kind": "dense", "num_heads": 12}, share="all", norm_position="post"),
        ),
        network(
            256,
            tokens(8_192, 512, embedding_size=64),
            blocks(4, {"kind": "dense", "num_heads": 4}, share="all", norm_position="post"),
        ),
        _BERT_PAPER,
    ),
    "rev-vit": ArchitecturePreset(
        "image-classification",
        "reversible encoder over image patches",
        "arXiv 2302.04869",
        "Rev-ViT-B",
        network(
            768,
            {"kind": "patches"},
            blocks(12, {"kind": "dense", "num_heads": 12}, residual="reversible"),
            num_labels=1_000,
        ),
        network(
            192,
            {"kind": "patches", "image_size": 64, "patch_size": 8},
            blocks(4, {"kind": "dense", "num_heads": 3}, residual="reversible"),
            num_labels=10,
        ),
        {"paper": {"batch_size": 32}},
    ),
    "memoryformer": ArchitecturePreset(
        "text-generation",
        "decoder that reads tables where others multiply by matrices",
        "arXiv 2411.12992",
        "MemoryFormer-tiny (Pythia-70M's shape, 415M numbers in tables)",
        network(
            512,
            tokens(50_304, 2_048, positions="rotary"),
            blocks(
                6,
                {"kind": "dense", "num_heads": 8, "projection": {"kind": "memory"}},
                {"kind": "memory"},
            ),
            tie_word_embeddings=False,
        ),
        network(
            64,
            tokens(2_048, 512, positions="rotary"),
            blocks(
                2,
                {"kind": "dense", "num_heads": 4, "projection": {"kind": "memory"}},
                {"kind": "memory"},
            ),
        ),
        {"paper": {"sequence_length": 2_048}},
    ),
}
