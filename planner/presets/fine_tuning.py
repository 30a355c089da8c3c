"""Named architectures of few parameters, or of which only a part learns."""

from __future__ import annotations

from planner.presets.architecture import ArchitecturePreset, blocks, network, tokens
from planner.presets.preset import Fields

_POST: Fields = {"norm_position": "post"}
_SMALL_TOKENS = tokens(8_192, 512)
_GLUE: dict[str, Fields] = {"paper": {"sequence_length": 128, "batch_size": 32}}


def _mobilebert(layers: int, hidden: int, size: int, vocab_size: int) -> Fields:
    return network(
        hidden,
        tokens(vocab_size, 512, embedding_size=size, trigram=True),
        blocks(
            layers,
            {"kind": "dense", "num_heads": 4, "attention_dropout": 0.1},
            {"kind": "dense", "intermediate_size": hidden, "activation": "relu"},
            norm="no_norm",
            bottleneck={"size": size},
            **_POST,
        ),
    )


FINE_TUNING_PRESETS: dict[str, ArchitecturePreset] = {
    "mobilebert-blocks": ArchitecturePreset(
        "text-classification",
        "encoder of narrow blocks with four feed-forwards each, between wide ones",
        "arXiv 2004.02984",
        "MobileBERT",
        _mobilebert(24, 512, 128, 30_522),
        _mobilebert(4, 128, 32, 8_192),
        _GLUE,
    ),
}
