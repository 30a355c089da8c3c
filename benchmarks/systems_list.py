"""The systems that the field names, in the order in which it names them."""

from __future__ import annotations

from typing import Any

from benchmarks.systems_compact import COMPACT, VISION
from benchmarks.systems_figures import kept_mib, kept_slope, slope
from benchmarks.systems_rows import Figure, System, asked, library, network, small
from benchmarks.systems_states import STATES
from benchmarks.systems_training import OTHERS, STATES_OF_OPTIMIZERS, WEIGHTS

MASKED = "fill-mask"
SAVED = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 4_098,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
NARROW = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1_024,
    "vocab_size": 8_192,
    "max_position_embeddings": 4_098,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def long(attention: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Training on one sequence of 4,096 tokens."""
    return asked(network(attention, **more), 1, 4_096)


def twins_of_bert(length: int) -> dict[str, Any]:
    """BERT of the `NARROW` shape with both kinds of plain attention."""
    return {
        kind: asked({**library("bert", MASKED, **NARROW), "attention": kind}, 1, length)
        for kind in ("eager", "sdpa")
    }


def kept(model_type: str, length: int, **config: Any) -> dict[str, Any]:
    """Two layers of width 128 over one sequence."""
    model = library(model_type, "feature-extraction", **SAVED, **config)
    return asked(model, 1, length)


def _vit(width: int, heads: int, batch: int) -> dict[str, Any]:
    attention = {"kind": "dense", "num_heads": heads, "implementation": "eager"}
    block = {"repeat": 12, "residual": "reversible"}
    model = {
        **network(attention, "image-classification", block=block),
        "hidden_size": width,
        "embedding": {"kind": "patches"},
    }
    return asked(model, batch, 1)


ENWIK8 = {
    "hidden_size": 1_024, "num_attention_heads": 8, "attention_head_size": 128,
    "feed_forward_size": 4_096, "axial_pos_shape": [16, 32], "axial_pos_embds_dim": [256, 768],
    "num_hashes": 1, "local_attn_chunk_length": 128, "lsh_attn_chunk_length": 256,
    "num_buckets": 4, "vocab_size": 258, "is_decoder": False,
}  # fmt: skip


def _reformer(layers: int) -> dict[str, Any]:
    pattern = ["local", "local", "lsh", "local"] * (layers // 4)
    return asked(library("reformer", "text-classification", attn_layers=pattern, **ENWIK8), 8, 512)


def _bert(layers: int) -> dict[str, Any]:
    model = library("bert", "text-classification", num_hidden_layers=layers)
    return asked({**model, "attention": "eager"}, 8, 512)


ATTENTION = (
    System(
        "Reformer",
        "arXiv 2001.04451; transformers",
        "Reversible layers keep nothing that grows with depth, and hashing nothing of S x S:"
        " each further layer costs its parameters and gradients only. Hash buckets are kept, one"
        " layer is recomputed, and at short sequences the sorted copies make it larger than BERT.",
        small("reformer-enwik8"),
        asked(
            library(
                "reformer",
                "text-classification",
                is_decoder=False,
                attn_layers=["local", "lsh"],
                axial_pos_shape=[64, 64],
                max_position_embeddings=4_096,
                num_buckets=64,
                hidden_size=256,
                num_attention_heads=4,
                attention_head_size=64,
                feed_forward_size=1_024,
                vocab_size=8_192,
            ),
            1,
            4_096,
        ),
        twins_of_bert(4_096),
        (
            Figure(
                "4 layers more, B8 S512, 11 GB GPU (Hugging Face)",
                380,
                "MiB",
                slope(_reformer(4), _reformer(8), "rtx-3090"),
            ),
        ),
    ),
    System(
        "Linformer",
        "arXiv 2006.04768",
        "Scores of S x k instead of S x S. Against SDPA, which has no scores at all, it keeps"
        " more; lengths are fixed and decoders cannot have it.",
        small("linformer"),
        long({"kind": "linformer", "k": 256, "sharing": "layerwise"}),
    ),
    System(
        "Performer",
        "arXiv 2009.14794",
        "Nothing of S x S, but features of S x m for queries and keys, m being larger than a"
        " head: smaller than eager attention on long sequences, larger than SDPA always.",
        small("performer"),
        long({"kind": "performer"}, task="text-generation"),
    ),
    System(
        "Linear transformer",
        "arXiv 2006.16236",
        "Nothing of S x S; causal chunks keep a state each. Decoding needs a state of d x d a"
        " head, whatever the length. SDPA keeps less in training.",
        small("linear-transformer"),
        long({"kind": "linear"}, task="text-generation"),
    ),
    System(
        "FlashAttention",
        "arXiv 2205.14135; torch SDPA",
        "Queries, keys, values, outputs and one number a row: nothing of S x S, exactly the same"
        " mathematics. Everything else of the layer stays as it was.",
        small("gpt2"),
        long({"kind": "dense", "implementation": "sdpa"}),
        figures=(
            Figure("kept, 2 layers, S4096 (hooks)", 66.3, "MiB", kept_mib(kept("bert", 4_096))),
        ),
    ),
    System(
        "Sparse Transformer",
        "arXiv 1904.10509",
        "Scores of S x 2l, l about sqrt(S), in blocks of its own; masking a dense S x S matrix"
        " would save nothing.",
        small("sparse-transformer"),
        long({"kind": "sparse", "stride": 64}, task="text-generation"),
    ),
    System(
        "Longformer",
        "arXiv 2004.05150; transformers",
        "Linear in the sequence, but overlapping copies of keys and values are kept: less than"
        " eager attention from about 1,024 tokens on, more than SDPA always.",
        small("longformer-base"),
        asked(library("longformer", MASKED, attention_window=256, **NARROW), 1, 4_096),
        twins_of_bert(4_096),
        (
            Figure(
                "kept, 2 layers, S4096 (hooks)",
                162.4,
                "MiB",
                kept_mib(kept("longformer", 4_096, attention_window=256)),
            ),
        ),
    ),
    System(
        "BigBird",
        "arXiv 2007.14062",
        "Linear in the sequence; keys and values are gathered, eight blocks for each block of"
        " queries, and the copies are kept. Below 704 tokens the library's own is plain attention.",
        small("bigbird"),
        long({"kind": "block_sparse"}),
        figures=(
            Figure(
                "kept, library's, 2 layers, S4096 (hooks)",
                246.2,
                "MiB",
                kept_mib(kept("big_bird", 4_096, block_size=64)),
            ),
        ),
    ),
    System(
        "Nystromformer",
        "arXiv 2102.03902",
        "Scores of S x m through m landmarks, and an iterated inverse of m x m.",
        small("nystromformer"),
        long({"kind": "nystrom", "num_landmarks": 64}),
        figures=(
            Figure(
                "kept, library's, 2 layers, S4096 (hooks)",
                143.1,
                "MiB",
                kept_mib(
                    kept("nystromformer", 4_096, num_landmarks=64, segment_means_seq_len=4_096)
                ),
            ),
        ),
    ),
    System(
        "FNet",
        "arXiv 2105.03824",
        "No scores and no projections; the complex transform is twice as large as its input for"
        " a moment.",
        small("fnet"),
        long({"kind": "fourier"}),
    ),
)

RESIDUALS = (
    System(
        "Gradient checkpointing",
        "arXiv 1604.06174; torch.utils.checkpoint",
        "The inside of every block, for one more forward. Parameters, gradients, optimizer and"
        " the loss stay; so does one block's working set.",
        {**small("gpt2"), "strategy": {"checkpointing": "full"}},
        {**long({"kind": "dense"}), "strategy": {"checkpointing": "full"}},
        figures=(
            Figure(
                "a layer of BERT without it keeps, B8 S512 (Hugging Face)",
                414,
                "MiB",
                kept_slope(_bert(4), _bert(5), "rtx-3090"),
            ),
        ),
    ),
    System(
        "Reversible layers, Rev-ViT",
        "arXiv 1707.04585, 2302.04869",
        "Activations of all blocks but one, for one more forward; inference gains nothing. In 16"
        " bits the inverse loses digits with depth.",
        small("rev-vit"),
        _vit(768, 12, 16),
        figures=(
            Figure(
                "Rev-ViT-S, an image",
                8.8,
                "MiB",
                slope(_vit(384, 6, 64), _vit(384, 6, 128), "a100-80gb", 64),
            ),
            Figure(
                "Rev-ViT-B, an image",
                17.0,
                "MiB",
                slope(_vit(768, 12, 64), _vit(768, 12, 128), "a100-80gb", 64),
            ),
        ),
    ),
)

SYSTEMS = (
    *ATTENTION,
    *RESIDUALS,
    *COMPACT,
    *VISION,
    *STATES,
    *WEIGHTS,
    *STATES_OF_OPTIMIZERS,
    *OTHERS,
)
