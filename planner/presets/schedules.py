"""Named architectures whose tokens, widths or heads change from block to block.

Sizes: ToMe's from its README, EViT's from its code (`deit_small_patch16_shrink_base`), FlexiBERT's
from its code, as dictionaries; Swin's and Funnel's are the default configurations of
`transformers`.
"""

from __future__ import annotations

from typing import Any

from planner.architecture.flexibert import flexibert
from planner.presets.architecture import ArchitecturePreset, blocks, tokens
from planner.presets.preset import Fields

_PRUNED: Fields = {"kind": "prune", "keep": 0.7}
_SMALL_IMAGE: Fields = {"kind": "patches", "image_size": 64, "patch_size": 8}
_IMAGES: dict[str, Fields] = {"paper": {"batch_size": 32}}

# Verbatim from the authors' pretraining script (jha-lab/txf_design-space, `flexibert_mini`).
_FLEXIBERT_MINI = {
    "l": 4,
    "o": ["sa", "sa", "l", "l"],
    "h": [256, 256, 128, 128],
    "n": [2, 2, 4, 4],
    "f": [[512, 512, 512], [512, 512, 512], [1024], [1024]],
    "p": ["sdp", "sdp", "dct", "dct"],
}
_BERT_TINY = {"l": 2, "o": [["sa_sdp_64"] * 2] * 2, "h": [128] * 2, "f": [[512]] * 2}
_FLEXIBERT_SMALL = {
    "l": 3,
    "o": [
        ["sa_sdp_32", "sa_wma_32", "l_dft_32", "c_5_32"],
        ["sa_sdp_32", "l_dct_32", "c_9_32", "c_9_32"],
        ["sa_sdp_32", "sa_sdp_32"],
    ],
    "h": [128, 128, 64],
    "f": [[512], [256, 256], [256]],
}


def _images(hidden: int, embedding: Fields, entries: list[Fields], **more: Any) -> Fields:
    return {"hidden_size": hidden, "embedding": embedding, "blocks": entries, **more}


def _dense(repeat: int, heads: int, **more: Any) -> Fields:
    return blocks(repeat, {"kind": "dense", "num_heads": heads}, **more)


def _swin_stage(depth: int, heads: int, window: int, shift: int, **more: Any) -> Fields:
    """Blocks with windows in turn at their place and shifted."""
    windows = [
        {"kind": "image_window", "num_heads": heads, "window": window, "shift": by}
        for by in (0, shift)
    ]
    return {
        "repeat": depth,
        "attention": windows if shift else windows[0],
        "feed_forward": {"kind": "dense"},
        **more,
    }


def _funnel(hidden: int, heads: int, depths: tuple[int, ...], **more: Any) -> list[Fields]:
    return [
        _dense(
            depth,
            heads,
            norm_position="post",
            dropout=0.1,
            **({"tokens": {"kind": "pool", "stride": 2, "queries_only": True}} if index else {}),
            **more,
        )
        for index, depth in enumerate(depths)
    ]


_MERGED: Fields = {"kind": "patch_merge"}

SCHEDULE_PRESETS: dict[str, ArchitecturePreset] = {
    "tome-vit": ArchitecturePreset(
        "image-classification",
        "encoder over image patches that merges the most similar tokens in every block",
        "arXiv 2210.09461",
        "ToMe ViT-B/16, r = 13",
        _images(
            768,
            {"kind": "patches"},
            [_dense(12, 12, tokens={"kind": "merge", "r": 13})],
            num_labels=1_000,
        ),
        _images(192, _SMALL_IMAGE, [_dense(4, 3, tokens={"kind": "merge", "r": 8})], num_labels=10),
        _IMAGES,
    ),
    "evit": ArchitecturePreset(
        "image-classification",
        "encoder over image patches that keeps what the class token attends to",
        "arXiv 2202.07800",
        "EViT-DeiT-S/16, keep rate 0.7",
        _images(
            384,
            {"kind": "patches"},
            [
                _dense(3, 6),
                *[_dense(1, 6, tokens=_PRUNED), _dense(2, 6)] * 3,
            ],
            num_labels=1_000,
        ),
        _images(
            192,
            _SMALL_IMAGE,
            [_dense(1, 3), _dense(1, 3, tokens=_PRUNED), _dense(1, 3)],
            num_labels=10,
        ),
        _IMAGES,
    ),
    "funnel-encoder": ArchitecturePreset(
        "text-classification",
        "encoder that halves its sequence between groups of blocks",
        "arXiv 2006.03236",
        "Funnel-Transformer B4-4-4H768, encoder",
        _images(768, tokens(30_522, 512), _funnel(768, 12, (4, 4, 4))),
        _images(256, tokens(8_192, 512), _funnel(256, 4, (2, 2, 2))),
        {"paper": {"sequence_length": 512, "batch_size": 8}},
    ),
    "swin": ArchitecturePreset(
        "image-classification",
        "encoder over windows of patches, whose patches are merged between stages",
        "arXiv 2103.14030",
        "Swin-T",
        _images(
            96,
            {"kind": "patches", "patch_size": 4, "positions": "none"},
            [
                _swin_stage(2, 3, 7, 3),
                _swin_stage(2, 6, 7, 3, hidden_size=192, tokens=_MERGED),
                _swin_stage(6, 12, 7, 3, hidden_size=384, tokens=_MERGED),
                _swin_stage(2, 24, 7, 0, hidden_size=768, tokens=_MERGED),
            ],
            num_labels=1_000,
            pooling="mean",
        ),
        _images(
            48,
            {**_SMALL_IMAGE, "patch_size": 4, "positions": "none"},
            [
                _swin_stage(2, 3, 4, 2),
                _swin_stage(2, 6, 4, 2, hidden_size=96, tokens=_MERGED),
                _swin_stage(2, 12, 4, 0, hidden_size=192, tokens=_MERGED),
            ],
            num_labels=10,
            pooling="mean",
        ),
        _IMAGES,
    ),
    "flexibert": ArchitecturePreset(
        "fill-mask",
        "encoder whose layers differ in width, feed-forwards and heads",
        "arXiv 2205.11656",
        "FlexiBERT-Mini",
        flexibert(_FLEXIBERT_MINI),
        flexibert(_FLEXIBERT_SMALL, vocab_size=8_192),
        {"paper": {"sequence_length": 512, "batch_size": 8}},
    ),
    "bert-tiny-flexibert": ArchitecturePreset(
        "fill-mask",
        "BERT-Tiny as FlexiBERT and TransCODE write it",
        "arXiv 2205.11656",
        "BERT-Tiny",
        flexibert(_BERT_TINY),
        flexibert(_BERT_TINY, vocab_size=8_192),
        {"paper": {"sequence_length": 128, "batch_size": 8}},
    ),
}
