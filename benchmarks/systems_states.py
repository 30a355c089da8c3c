"""Systems of states and caches, of storage, and of training's own memory."""

from __future__ import annotations

from typing import Any

from benchmarks.systems_figures import cache_saved, forward_gmacs
from benchmarks.systems_rows import Figure, System, asked, library, network, small
from planner.presets import PRESETS

LLAMA: dict[str, Any] = {
    "hidden_size": 512, "intermediate_size": 1_376, "num_hidden_layers": 4,
    "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 8_192,
    "max_position_embeddings": 4_096,
}  # fmt: skip


def generation(length: int, cache: dict[str, Any] | None, **config: Any) -> dict[str, Any]:
    """Sixteen new tokens after a prompt, of four sequences."""
    return {
        "model": library("llama", "text-generation", **{**LLAMA, **config}),
        "workload": {
            "mode": "generation", "batch_size": 4, "sequence_length": length, "new_tokens": 16,
        },
        "strategy": {} if cache is None else {"kv_cache": cache},
    }  # fmt: skip


def decoded(length: int) -> dict[str, Any]:
    """The same with the whole cache, and both kinds of plain attention."""
    whole = generation(length, None)
    return {
        kind: {**whole, "model": {**whole["model"], "attention": kind}}
        for kind in ("eager", "sdpa")
    }


def _think(ratio: float) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """One layer of Llama-3-8B's geometry: without any cache, with the whole one, and ThinK's."""
    geometry = {
        "hidden_size": 4_096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 256,
        "num_hidden_layers": 1,
        "max_position_embeddings": 16_384,
    }
    kept = {**THINK, "ratio": ratio}
    none, whole, pruned = (generation(8_192, cache, **geometry) for cache in (None, None, kept))
    for case in (none, whole, pruned):
        case["workload"] |= {"batch_size": 1, "new_tokens": 2, "precision": "bf16"}
    none["workload"]["cache"] = "none"
    return none, whole, pruned


WINDOW = {"kind": "window", "window": 256, "sinks": 4}
THINK = {"kind": "think", "ratio": 0.4, "recent": 32}
KIVI = {"kind": "quantized", "bits": 4, "group_size": 32, "residual": 128}

STATES = (
    System(
        "Mamba",
        "arXiv 2312.00752",
        "A state instead of keys and values. A scan that keeps its states is larger than"
        " attention; in chunks, computed again in backward, it keeps one state in 64, still more"
        " than SDPA.",
        small("mamba-blocks"),
        asked(network({"kind": "mamba"}, "text-generation"), 1, 4_096),
        {
            kind: asked(
                network({"kind": "dense", "implementation": kind}, "text-generation"), 1, 4_096
            )
            for kind in ("eager", "sdpa")
        },
    ),
    System(
        "SegResMamba",
        "arXiv 2503.07766",
        "Scans over an eighth of the volume's places, in three orders. Built by the paper: the"
        " released code never calls them. The paper counts transposed convolutions eight times;"
        " counted so, this network has 275 GMAC, and two more convolutions a level give 336.3.",
        small("segresmamba"),
        figures=(
            Figure(
                "forward, BTCV, 1 x 128^3", 336.45, "GMAC",
                forward_gmacs(
                    {"source": "preset", "name": "segresmamba", "size": "paper"},
                    {**PRESETS["segresmamba"].example_workload("paper"), "batch_size": 1},
                ),
            ),
        ),
    ),
    System(
        "StreamingLLM's window",
        "arXiv 2309.17453",
        "Keys and values of all but the last tokens and the first few. What is gone is not"
        " attended to.",
        generation(256, {"kind": "window", "window": 64, "sinks": 4}),
        generation(2_048, WINDOW),
        decoded(2_048),
    ),
    System(
        "ThinK",
        "arXiv 2407.21018",
        "Key channels of the prompt, really packed: a fifth of the cache at 0.4. Scores are two"
        " products, without a fused kernel.",
        generation(256, THINK),
        generation(2_048, THINK),
        decoded(2_048),
        (
            Figure("of the cache, 8 x 128, S8192, 0.4", 19.8, "%", cache_saved(*_think(0.4))),
            Figure("of the cache, 8 x 128, S8192, 0.5", 24.9, "%", cache_saved(*_think(0.5))),
        ),
    ),
    System(
        "Quantised keys and values, KIVI",
        "arXiv 2402.02750",
        "Three quarters and more of the cache; one layer is unpacked for its attention, which its"
        " authors' kernels do not need.",
        generation(256, {**KIVI, "residual": 64}),
        generation(2_048, KIVI),
        decoded(2_048),
    ),
)  # fmt: skip
