"""Named architectures of few parameters, or of which only a part learns.

Not checked against a paper's text: adapter-ALBERT's adapter size (64 is the fixed one of the
adapters' own paper for GLUE), FAR's retention, and which matrices the Resource-Efficient
Transformer's attention weights are. Embeddings have neither token types nor a norm, as BERT's have.
"""

from __future__ import annotations

from planner.presets.architecture import ArchitecturePreset, blocks, network, tokens
from planner.presets.preset import Fields

_BERT_TOKENS = tokens(30_522, 512)
_SMALL_TOKENS = tokens(8_192, 512)
_POST: Fields = {"norm_position": "post"}
_ENCODER: Fields = {**_POST, "dropout": 0.1}  # as BERT's
_GLUE: dict[str, Fields] = {"paper": {"sequence_length": 128, "batch_size": 32}}
_BITFIT: Fields = {"freeze": ["*"], "train": ["*bias", "classifier.*"]}
_ADAPTERS: Fields = {"freeze": ["*"], "train": ["*.adapter.*", "*norm.*", "classifier.*"]}


def _albert(layers: int, hidden: int, embedding: Fields, adapter_size: int) -> Fields:
    attention = {"kind": "dense", "num_heads": hidden // 64}
    adapter = {"size": adapter_size}
    return network(
        hidden,
        embedding,
        blocks(layers, attention, share="all", adapter=adapter, **_POST),
        **_ADAPTERS,
    )


def _mobilebert(layers: int, hidden: int, size: int, vocab_size: int) -> Fields:
    attention = {"kind": "dense", "num_heads": 4, "attention_dropout": 0.1}
    feed_forward = {"kind": "dense", "intermediate_size": hidden, "activation": "relu"}
    return network(
        hidden,
        tokens(vocab_size, 512, embedding_size=size, trigram=True),
        blocks(layers, attention, feed_forward, norm="no_norm", bottleneck={"size": size}, **_POST),
    )


def _encoder(layers: int, hidden: int, embedding: Fields, feed_forward: str) -> Fields:
    attention = {"kind": "dense", "num_heads": hidden // 64}
    return network(hidden, embedding, blocks(layers, attention, {"kind": feed_forward}, **_ENCODER))


def _resource_efficient(hidden: int, num_heads: int) -> Fields:
    """V d parameters of the embedding, and 4 d (heads x 3) = 0.75 d^2 of attention."""
    attention = {
        "kind": "dense",
        "num_heads": num_heads,
        "head_dim": 3,
        "projection": {"kind": "linear", "bias": False},
    }
    return network(
        hidden,
        tokens(1_000, 10, positions="none"),
        blocks(1, attention, {"kind": "none"}, norm="none"),
    )


def _halved(summary: str, paper_name: str, fields: Fields) -> ArchitecturePreset:
    workload = {"sequence_length": 10, "precision": "fp64"}  # NumPy's
    return ArchitecturePreset(
        "text-generation",
        f"{summary}; its counts are published, which matrices attention's are is a guess",
        "arXiv 2501.00042",
        paper_name,
        fields,
        fields,
        {"small": workload, "paper": workload},
    )


def _memoryformer(
    layers: int, hidden: int, num_heads: int, embedding: Fields, **more: bool
) -> Fields:
    memory = {"kind": "memory", "score": "released"}
    attention = {"kind": "dense", "num_heads": num_heads, "projection": memory}
    return network(hidden, embedding, blocks(layers, attention, memory, norm="rms_norm"), **more)


FINE_TUNING_PRESETS: dict[str, ArchitecturePreset] = {
    "mobilebert-blocks": ArchitecturePreset(
        "text-classification",
        "encoder of narrow blocks with four feed-forwards each, around a wide stream",
        "arXiv 2004.02984",
        "MobileBERT",
        _mobilebert(24, 512, 128, 30_522),
        _mobilebert(4, 128, 32, 8_192),
        _GLUE,
    ),
    "adapter-albert": ArchitecturePreset(
        "text-classification",
        "encoder of one frozen block, called again and again, with adapters of each layer's own",
        "arXiv 2303.16100",
        "adapter-ALBERT, one task",
        _albert(12, 768, tokens(30_000, 512, embedding_size=128), 64),
        _albert(4, 256, tokens(8_192, 512, embedding_size=64), 16),
        _GLUE,
    ),
    "far-distilbert": ArchitecturePreset(
        "text-classification",
        "encoder whose feed-forwards learn in some of their nodes; activations are those of all",
        "arXiv 2205.01541",
        "DistilBERT by FAR, reconfigured",
        _encoder(6, 768, _BERT_TOKENS, "far"),
        _encoder(3, 256, _SMALL_TOKENS, "far"),
        _GLUE,
    ),
    "bitfit-bert": ArchitecturePreset(
        "text-classification",
        "encoder of which only biases and the classifier learn",
        "arXiv 2106.10199",
        "BERT base by BitFit",
        {**_encoder(12, 768, _BERT_TOKENS, "dense"), **_BITFIT},
        {**_encoder(4, 256, _SMALL_TOKENS, "dense"), **_BITFIT},
        _GLUE,
    ),
    "resource-efficient-transformer-before": _halved(
        "decoder of one attention", "the baseline of 1,122,304 bytes", _resource_efficient(128, 8)
    ),
    "resource-efficient-transformer": _halved(
        "decoder of one attention, embedding and heads halved",
        "Resource-Efficient Transformer, 536,576 bytes",
        _resource_efficient(64, 4),
    ),
    "memoryformer-released": ArchitecturePreset(
        "text-generation",
        "decoder that reads tables, as its authors' code rather than their paper has it",
        "arXiv 2411.12992",
        "MemoryFormer-tiny",
        _memoryformer(
            6, 512, 8, tokens(50_304, 2_048, positions="rotary"), tie_word_embeddings=False
        ),
        _memoryformer(2, 64, 4, tokens(2_048, 512, positions="rotary")),
        {"paper": {"sequence_length": 2_048}},
    ),
}
