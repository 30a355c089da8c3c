"""Named encoder-decoders, small and in a paper's size.

The first transformer's base model is printed with 65 million parameters; here it has 63.1: 37,000
tokens in one table for both sides and the head, as its section 3.4 says. Its embeddings are
multiplied by sqrt(H); here they are not, which no tensor's size depends on.

Memformer's is printed with 76.21 million; here it has 77.05, 25.7 of them in GPT-2's 50,257
tokens: its own vocabulary, the place of its norms and the horizon of its main run are not printed.
Its relative positions are learned ones here. Four segments are the horizon of its table 3.
"""

from __future__ import annotations

from typing import Any

from planner.presets.architecture import ArchitecturePreset, blocks, network, tokens
from planner.presets.preset import Fields


def _translator(hidden: int, heads: int, repeat: int, embedding: Fields) -> Fields:
    """The first transformer: post-norm, relu, sinusoidal positions, dropout 0.1."""
    attention = {"kind": "dense", "num_heads": heads}
    make: dict[str, Any] = {"norm_position": "post", "dropout": 0.1}
    feed_forward = {"kind": "dense", "activation": "relu"}
    return network(
        hidden,
        {"positions": "sinusoidal", "dropout": 0.1, **embedding},
        blocks(repeat, attention, feed_forward, **make),
        decoder=[blocks(repeat, attention, feed_forward, cross_attention=attention, **make)],
    )


def _memformer(
    hidden: int, heads: int, encoder: int, decoder: int, slots: int, embedding: Fields
) -> Fields:
    """An encoder that reads and writes a memory, beside a decoder, over four segments."""
    attention = {"kind": "dense", "num_heads": heads}
    return network(
        hidden,
        embedding,
        blocks(encoder, attention, cross_attention=attention),
        decoder=[blocks(decoder, attention, cross_attention=attention)],
        memory={"slots": slots, "segments": 4, "num_heads": heads, "backward": "mrbp"},
    )


ENCODER_DECODER_PRESETS: dict[str, ArchitecturePreset] = {
    "transformer-base": ArchitecturePreset(
        "text2text-generation",
        "encoder and decoder of softmax attention, the first transformer",
        "arXiv 1706.03762",
        "Transformer base, English to German",
        _translator(512, 8, 6, tokens(37_000, 512)),
        _translator(128, 4, 2, tokens(4_096, 512)),
        {"paper": {"batch_size": 32}},
    ),
    "memformer": ArchitecturePreset(
        "text2text-generation",
        "encoder-decoder that reads a text in segments and remembers in slots",
        "arXiv 2010.06891",
        "Memformer of WikiText-103, 32 slots, segments of 64 tokens",
        _memformer(512, 8, 4, 8, 32, tokens(50_257, 64)),
        _memformer(128, 4, 2, 2, 16, tokens(4_096, 64)),
        {"paper": {"sequence_length": 256, "batch_size": 8}},
    ),
}
