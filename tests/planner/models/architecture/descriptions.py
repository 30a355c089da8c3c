"""Small architectures that several tests build, trace or run."""

from planner.check import check
from planner.models.architecture.job import architecture_inputs, build_architecture
from planner.request import SimulationRequest
from planner.strategy import Strategy

LENGTH = 32


def heads(kind, **fields):
    return {"kind": kind, "num_heads": 4, **fields}


def tokens(**fields):
    return {"kind": "tokens", "vocab_size": 64, "max_positions": LENGTH, **fields}


def block(**fields):
    return {"attention": heads("dense"), "feed_forward": {"kind": "dense"}, **fields}


def window(size, **fields):
    return heads("image_window", window=size, **fields)


def request(task="text-generation", *, workload=None, strategy=None, model=None, **blocks):
    """A checked request for two narrow blocks."""
    group = block(**blocks)
    return check(
        SimulationRequest.model_validate(
            {
                "model": {
                    "source": "architecture",
                    "task": task,
                    "hidden_size": 32,
                    "embedding": tokens(),
                    "blocks": [{"repeat": 2, **group}],
                    **(model or {}),
                },
                "workload": {"batch_size": 2, "sequence_length": LENGTH, **(workload or {})},
                "strategy": strategy or {},
            }
        )
    )


def build(asked):
    """The network of a request and its inputs, on real tensors."""
    network = build_architecture(asked.model, asked.workload, Strategy(), "cpu")
    return network, architecture_inputs(asked.model, asked.workload, "cpu")


MEMORY = {"kind": "memory", "bits": 4}
RELEASED = {**MEMORY, "score": "released"}
DECODERS = {
    "dense": {"attention": heads("dense")},
    "eager": {"attention": heads("dense", implementation="eager")},
    "grouped": {"attention": heads("dense", num_key_value_heads=2)},
    "window": {"attention": heads("sliding_window", window=8, num_key_value_heads=2)},
    "strided": {"attention": heads("sparse", stride=8)},
    "fixed": {"attention": heads("sparse", pattern="fixed", stride=8, summary_tokens=2)},
    "block-sparse": {
        "attention": heads("block_sparse", block_size=4, global_blocks=1, random_blocks=1)
    },
    "performer": {"attention": heads("performer", chunk_size=8)},
    "linear": {"attention": heads("linear", chunk_size=8)},
    "lsh": {"attention": heads("lsh", num_hashes=2, num_buckets=4, chunk_size=8)},
    "mamba": {"attention": {"kind": "mamba", "chunk_size": 8}, "feed_forward": {"kind": "none"}},
    "mamba, naive": {"attention": {"kind": "mamba", "scan": "naive"}},
    "no attention": {"attention": {"kind": "none"}},
    "gated": {"feed_forward": {"kind": "gated"}},
    "low-rank": {
        "attention": heads("dense", projection={"kind": "linear", "rank": 4}),
        "feed_forward": {"kind": "dense", "rank": 4},
    },
    "chunked": {"feed_forward": {"kind": "dense", "chunks": 4}},
    "memory": {"attention": heads("dense", projection=MEMORY), "feed_forward": MEMORY},
    "memory, released": {
        "attention": heads("dense", projection=RELEASED),
        "feed_forward": RELEASED,
        "norm": "rms_norm",
    },
    "adapters": {"adapter": {"size": 4}, "share": "all"},
    "priming far": {"feed_forward": {"kind": "far", "stage": "priming"}},
    "experts": {"feed_forward": {"kind": "experts", "num_experts": 4, "top_k": 2}},
    "reversible": {"residual": "reversible", "dropout": 0.1},
    "post-norm": {"norm_position": "post", "norm": "rms_norm"},
    "shared": {"share": "all", "model": {"embedding": tokens(embedding_size=16)}},
    "axial": {
        "model": {"embedding": tokens(positions="axial", axial_shape=[4, 8], axial_dims=[8, 24])}
    },
    "rotary": {"model": {"embedding": tokens(positions="rotary")}},
    "alternating": {
        "attention": [
            heads("sparse", stride=8, factors="first"),
            heads("sparse", stride=8, factors="second"),
        ]
    },
}
NARROW = {
    "norm": "no_norm",
    "norm_position": "post",
    "dropout": 0.1,
    "bottleneck": {"size": 16, "num_feed_forwards": 2},
}
ENCODERS = {
    "window": {"attention": heads("sliding_window", window=8)},
    "block-sparse": {
        "attention": heads("block_sparse", block_size=4, global_blocks=1, random_blocks=1)
    },
    "linformer": {"attention": heads("linformer", k=8)},
    "linformer, one E": {"attention": heads("linformer", k=8, sharing="layerwise")},
    "performer": {"attention": heads("performer", features="relu")},
    "linear": {"attention": heads("linear")},
    "nystrom": {"attention": heads("nystrom", num_landmarks=8, conv_kernel_size=3)},
    "mamba": {"attention": {"kind": "mamba", "chunk_size": 5, "dt_rank": 3}},
    "fourier": {"attention": {"kind": "fourier"}},
    "bottleneck": {**NARROW, "model": {"embedding": tokens(embedding_size=16, trigram=True)}},
    "bottleneck of all": {**NARROW, "bottleneck": {"size": 16, "attention_input": "bottleneck"}},
    "bottleneck of none": {
        **NARROW,
        "share": "all",
        "bottleneck": {"size": 16, "attention_input": "stream"},
    },
}
IMAGES = {
    "task": "image-classification",
    "model": {
        "embedding": {"kind": "patches", "image_size": 16, "patch_size": 4},
        "num_labels": 5,
    },
}
CLASSES = {"task": "text-classification"}
MERGED = {"tokens": {"kind": "merge", "r": 3}}
PRUNED = {"tokens": {"kind": "prune", "keep": 0.7}}
PATCHES = {**IMAGES["model"], "pooling": "mean"}
SCHEDULED = {
    "merging": {**CLASSES, **MERGED},
    "merging, eager": {
        **CLASSES, **MERGED, "attention": heads("dense", implementation="eager")
    },
    "merging images": {**IMAGES, **MERGED, "attention": heads("dense", num_key_value_heads=2)},
    "merging, not proportional, post-norm": {
        **CLASSES,
        "tokens": {"kind": "merge", "r": 3, "proportional_attention": False},
        "attention": heads("linear"),
        "norm_position": "post",
        "feed_forward": {"kind": "gated"},
    },
    "pruning": {**CLASSES, **PRUNED},
    "pruning images": {
        **IMAGES, "tokens": {"kind": "prune", "keep": 0.5, "fuse": False}, "dropout": 0.1
    },
    "pruning, shared": {**CLASSES, **PRUNED, "share": "all", "norm_position": "post"},
    "pooling": {
        **CLASSES,
        "model": {"blocks": [block(), block(repeat=2, tokens={"kind": "pool", "stride": 4})]},
    },
    "pooling images": {
        **IMAGES,
        "model": {
            **IMAGES["model"],
            "blocks": [block(), block(tokens={"kind": "pool", "mode": "max"}, hidden_size=48)],
        },
    },
    "pooling queries": {
        **CLASSES,
        "model": {
            "blocks": [
                block(),
                block(
                    repeat=2, tokens={"kind": "pool", "queries_only": True}, norm_position="post"
                ),
            ]
        },
    },
    "pooling queries, pre-norm": {
        **CLASSES,
        "model": {
            "blocks": [block(hidden_size=48, tokens={"kind": "pool", "queries_only": True})]
        },
    },
    "pooling, reversible": {
        **CLASSES, "tokens": {"kind": "pool"}, "residual": "reversible"
    },
    "windows": {
        **IMAGES,
        "model": {
            **PATCHES,
            "blocks": [
                block(repeat=2, attention=[window(2), window(2, shift=1)]),
                block(attention=window(2), tokens={"kind": "patch_merge"}, hidden_size=64),
            ],
        },
    },
    "heads": {
        "task": "fill-mask",
        "attention": {
            "kind": "heads",
            "heads": [
                {"op": "sdp"}, {"op": "wma"}, {"op": "dft"}, {"op": "dct"}, {"op": "dct"},
                {"op": "conv", "kernel_size": 5}, {"op": "sdp"}, {"op": "conv", "kernel_size": 3},
            ],
        },
        "feed_forward": {"kind": "dense", "intermediate_size": [48, 64, 16]},
        "norm_position": "post",
    },
    "transforms": {
        "task": "fill-mask",
        "attention": {"kind": "heads", "heads": [{"op": "dct"}] * 2},
        "hidden_size": 64,
    },
}  # fmt: skip
DECODER = {
    "repeat": 2,
    "attention": heads("dense"),
    "cross_attention": heads("dense"),
    "feed_forward": {"kind": "dense"},
}


def translator(**group):
    """A task and fields for an encoder-decoder with these decoder blocks."""
    return {"task": "text2text-generation", "model": {"decoder": [{**DECODER, **group}]}}


ENCODER_DECODERS = {
    "encoder-decoder": {**translator(), "workload": {"target_length": 16}},
    "encoder-decoder eager": translator(
        norm_position="post",
        dropout=0.1,
        cross_attention=heads("dense", implementation="eager", num_key_value_heads=2),
    ),
    "encoder-decoder windows": {
        **translator(
            attention=heads("sliding_window", window=4), feed_forward={"kind": "none"}, share="all"
        ),
        "residual": "reversible",
        "workload": {"target_length": 12},
    },
}
MEMORY_SLOTS = {"slots": 3, "segments": 4, "num_heads": 4}


def memformer(task="text2text-generation", **memory):
    """A task and fields for blocks that read a memory, and a decoder where the task has one."""
    model = {"memory": {**MEMORY_SLOTS, **memory}}
    if task == "text2text-generation":
        model["decoder"] = [DECODER]
    return {"task": task, "model": model, "cross_attention": heads("dense")}


MEMFORMERS = {
    "memformer": memformer(),
    "memformer mrbp": memformer(backward="mrbp"),
    "memformer mrbp, dropout": {**memformer(backward="mrbp"), "dropout": 0.1},
    "memformer decoder": memformer("text-generation", temperature=0.5),
    "memformer decoder mrbp": memformer("text-generation", backward="mrbp"),
}
EVERY = {
    **{f"decoder {name}": case for name, case in DECODERS.items()},
    **{f"encoder {name}": {"task": "fill-mask", **case} for name, case in ENCODERS.items()},
    **ENCODER_DECODERS,
    **MEMFORMERS,
    "images": IMAGES,
    "classes": {"task": "text-classification"},
    "token classes": {"task": "token-classification"},
    **SCHEDULED,
}
