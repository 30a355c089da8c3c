"""What a request can choose to take less memory, for those who ask what there is."""

from __future__ import annotations

from typing import Any

from planner.plans import DEFAULT_ALLOW

Entry = dict[str, Any]


def _technique(
    name: str,
    field: str,
    values: list[str],
    saves: str,
    costs: str,
    math: str,
    allow: str | None = None,
) -> Entry:
    """`allow`: the technique's name in the `allow` of a plan, where a plan can choose it."""
    return {
        "name": name,
        "field": field,
        "values": values,
        "saves": saves,
        "costs": costs,
        "mathematics": math,
        "allow": allow,
        "allowed_by_default": allow is not None and allow in DEFAULT_ALLOW,
    }


_EXACT = "unchanged: the same numbers are computed again"
_SAME = "unchanged up to rounding"
_CHANGED = "changed"


def techniques() -> list[Entry]:
    """What a request can choose to take less memory: where, at what cost, and if it is exact."""
    return [*_strategy_techniques(), *_compression_techniques(), *_request_techniques()]


def _strategy_techniques() -> list[Entry]:
    """What a strategy can contain, and a plan can choose."""
    return [
        _technique(
            "recomputation of a unit",
            "/strategy/units/action",
            ["keep", "recompute"],
            "all that the unit saves for backward but its input; nested, the working set of its"
            " backward too (arXiv 1604.06174)",
            "one more forward of the unit",
            _EXACT,
            "checkpointing",
        ),
        _technique(
            "selective recomputation of a unit",
            "/strategy/units/save",
            ["op outputs that stay, as aten.addmm#1"],
            "the cheap outputs of a unit, while the dear ones stay",
            "the unit's forward without the ops whose outputs stay",
            _EXACT,
            "selective",
        ),
        _technique(
            "segments of units",
            "/strategy/units/through",
            ["path of the last unit of a segment"],
            "the inputs of all units of the segment but the first (arXiv 1911.13214)",
            "one more forward of the whole segment",
            _EXACT,
            "segments",
        ),
        _technique(
            "offloading a unit",
            "/strategy/units/action",
            ["offload"],
            "on a device with memory of its own: all that the unit saves waits on the host",
            "two transfers of it",
            _EXACT,
            "offload",
        ),
        _technique(
            "micro-batches",
            "/strategy/micro_batches",
            ["1 to 4096"],
            "activations: a batch passes in equal parts",
            "smaller kernels; gradients stay alive between the parts",
            f"{_SAME}; models with batch norms are left out",
            "micro_batching",
        ),
        _technique(
            "loss in chunks",
            "/strategy/loss_chunks",
            ["1 to 4096"],
            "the logits (tokens x vocabulary) and the loss's copies of them, never whole",
            "the head's forward once more",
            _SAME,
            "chunked_loss",
        ),
        _technique(
            "optimizer implementation",
            "/strategy/optimizer/implementation",
            ["foreach", "for-loop", "fused"],
            "fused: no temporaries; for-loop: those of one parameter; foreach: of all",
            "nothing (fused) to one small kernel for each parameter (for-loop)",
            _SAME,
            "optimizer_implementation",
        ),
        _technique(
            "optimizer step in backward",
            "/strategy/optimizer/in_backward",
            ["true"],
            "gradients: each is dropped as soon as its parameter has been stepped",
            "nothing; gradients can be neither accumulated nor clipped by their common norm",
            _EXACT,
            "optimizer_in_backward",
        ),
        _technique(
            "smaller optimizer states",
            "/strategy/optimizer_states",
            ["8bit", "factored"],
            "8bit: three quarters of Adam's states (arXiv 2110.02861); factored: nearly all"
            " (arXiv 1804.04235)",
            "8bit: unpacking and packing at each step",
            _CHANGED,
            "optimizer_states",
        ),
        _technique(
            "attention of a strategy",
            "/strategy/attention",
            ["eager", "sdpa"],
            "sdpa: the heads x sequence x sequence scores where a fused kernel serves",
            "nothing",
            _SAME,
            "attention",
        ),
        _technique(
            "precision of a strategy",
            "/strategy/precision",
            ["fp32", "bf16", "fp16", "amp-bf16", "amp-fp16"],
            "as /workload/precision",
            "range or mantissa",
            _CHANGED,
            "precision",
        ),
        *_kv_cache_techniques(),
    ]


def _kv_cache_techniques() -> list[Entry]:
    """What generation can keep of past keys and values, instead of all of them."""
    return [
        _technique(
            "window of the key-value cache",
            "/strategy/kv_cache",
            ['{"kind": "window", "window": 1024, "sinks": 4}'],
            "keys and values of all tokens but the first sinks and the last window"
            " (arXiv 2309.17453)",
            "nothing; once it is full, not even the copies of a growing cache",
            f"{_CHANGED}: new tokens do not attend to what was dropped",
        ),
        _technique(
            "pruned key channels",
            "/strategy/kv_cache",
            ['{"kind": "think", "ratio": 0.4, "recent": 32, "observation": 32}'],
            "ratio of the channels of the prompt's keys, which is half as much of keys and values"
            " (arXiv 2407.21018)",
            "scores by two products instead of a fused kernel",
            f"{_CHANGED}: the scores of the prompt's tokens lack the dropped channels",
        ),
        _technique(
            "quantised key-value cache",
            "/strategy/kv_cache",
            ['{"kind": "quantized", "bits": 2, "group_size": 32, "residual": 128}'],
            "all of keys and values but bits of each number, a scale and a minimum for each group,"
            " and the last residual tokens (arXiv 2402.02750)",
            "each new token unpacks all keys and values, those of one layer at a time",
            f"{_CHANGED}: keys and values are rounded",
        ),
    ]


def _compression_techniques() -> list[Entry]:
    """What a strategy can do to the weights of linear layers (docs/compression.md)."""
    field = "/strategy/compression"
    return [
        _technique(
            "quantized weights",
            field,
            ["int8", "nf4"],
            "int8: in x out + 4 out bytes a layer; nf4: 4.127 bits a weight (4.5 without double"
            " quantization; arXiv 2305.14314); no gradients and optimizer state of these weights",
            "one layer's weight in full at a time, in forward and in backward; these weights do not"
            " learn, adapters on them do; the model is built in full precision first",
            f"{_CHANGED}: weights are rounded",
        ),
        _technique(
            "sparse weights",
            field,
            ["csr", "2:4", "bitmask", "masked"],
            "csr: all but 8 bytes a weight that stays (fp32); 2:4: half, less 2 bits a value;"
            " bitmask: all but what stays and a bit a weight; masked: nothing, memory grows by two"
            " copies of the weights",
            "2:4 and bitmask: one layer's weight in full at a time; csr: a sparse product and"
            " transposed copies of activations; but for masked, these weights do not learn",
            f"{_CHANGED}: the smallest weights are zero",
        ),
        _technique(
            "structural pruning",
            field,
            ["ratio", "parts", "score"],
            "the share of parameters, gradients, optimizer state and activations of heads and"
            " feed-forwards; with heads, of the key-value cache (arXiv 2412.12441)",
            "nothing at run time; a few D x D matrices while scores are computed",
            f"{_CHANGED}: heads and nodes are gone",
        ),
        _technique(
            "low-rank weights",
            field,
            ["rank"],
            "r (in + out) weights instead of in x out, and their gradients and optimizer state",
            "r more numbers a token saved for backward; one more product a layer",
            f"{_CHANGED}: each matrix is its best approximation of that rank",
        ),
    ]


def _request_techniques() -> list[Entry]:
    """What the description and the workload themselves can choose."""
    return [
        _technique(
            "gradient checkpointing",
            "/strategy/checkpointing",
            ["none", "full"],
            "activations inside each repeated block; only its input stays",
            "one more forward of every block: about a third more compute in a step",
            "unchanged: the same numbers are computed twice",
        ),
        _technique(
            "memory replay back-propagation",
            "/model/memory/backward",
            ["bptt", "mrbp"],
            "mrbp: all that segments save for backward but the memories between them"
            " (arXiv 2010.06891)",
            "one more forward of every segment",
            _EXACT,
        ),
        _technique(
            "attention implementation",
            "/model/attention",
            ["eager", "sdpa"],
            "sdpa: the heads x sequence x sequence scores where a fused kernel serves",
            "nothing",
            _SAME,
        ),
        _technique(
            "scan of a selective state space",
            "/model/blocks/attention/scan",
            ["chunked", "naive"],
            "chunked: all states but one of each chunk of tokens (arXiv 2312.00752, section 3.3)",
            "states are computed three times instead of once, their gradients twice",
            _SAME,
        ),
        _technique(
            "mixture-of-experts implementation",
            "/model/experts",
            ["eager", "grouped_mm", "batched_mm"],
            "eager: no copies sorted by expert; batched_mm: no sorting, but weights for each token",
            "eager: one small product for each expert",
            _SAME,
        ),
        _technique(
            "precision",
            "/workload/precision",
            ["fp64", "fp32", "bf16", "fp16", "amp-bf16", "amp-fp16"],
            "bf16, fp16: half of fp32's parameters, gradients, optimizer state and activations;"
            " amp: half of most activations, plus casted copies of weights",
            "range or mantissa; amp-fp16 scales the loss",
            _CHANGED,
        ),
        _technique(
            "token schedule",
            "/model/blocks/tokens",
            ["merge", "prune", "pool", "patch_merge"],
            "activations of later blocks, which see fewer tokens (ToMe, arXiv 2210.09461; EViT,"
            " arXiv 2202.07800; Funnel, arXiv 2006.03236; Swin, arXiv 2103.14030)",
            "merge, prune: a matching or sorting of tokens in each block",
            _CHANGED,
        ),
        _technique(
            "low-rank adapters",
            "/model/lora",
            ["r", "alpha", "dropout", "target_modules", "bias"],
            "gradients and optimizer state of everything but the adapters (arXiv 2106.09685)",
            "two small products for each adapted module",
            f"{_CHANGED}: only the adapters learn",
        ),
        _technique(
            "bottleneck adapters",
            "/model/blocks/adapter",
            ["size", "activation", "after"],
            "with all else frozen: gradients and optimizer state of everything but the adapters"
            " (arXiv 1902.00751)",
            "two small products after each part of a block, and what they save for backward",
            f"{_CHANGED}: a network of its own",
        ),
        _technique(
            "feed-forwards of which some nodes learn",
            "/model/blocks/feed_forward/retention",
            ["0 to 1, of kind far"],
            "gradients and optimizer state of the other nodes (arXiv 2205.01541); no activations",
            "a concatenation and a permutation; a first stage that learns as a whole, beside a copy"
            " of the weights",
            f"{_CHANGED}: frozen nodes do not learn",
        ),
        _technique(
            "freezing",
            "/model/freeze",
            ["glob patterns of parameter names; /model/train names those that learn all the same"],
            "gradients and optimizer state of the frozen parameters, and what only they need saved",
            "nothing",
            f"{_CHANGED}: frozen parameters do not learn",
        ),
        _technique(
            "gradient accumulation",
            "/workload/gradient_accumulation_steps",
            ["1 to 1024"],
            "activations: a batch passes in micro-batches of batch_size",
            "smaller kernels; gradients stay alive between micro-batches",
            "unchanged up to rounding, batch statistics aside",
        ),
        _technique(
            "optimizer",
            "/workload/optimizer",
            _optimizers(),
            "state per parameter: two tensors (adamw, adam, nadam ...), one (sgd with momentum,"
            " rmsprop, adagrad), none (sgd), a row and a column (adafactor)",
            "convergence differs",
            _CHANGED,
        ),
        _technique(
            "distillation",
            "/workload/distillation",
            ["teacher", "logits", "temperature", "alpha", "hidden", "top_k"],
            "nothing of a step, but makes a smaller model useful (arXiv 1503.02531); stored logits:"
            " the parameters and the forward of a teacher online",
            "the teacher's parameters and forward, and probabilities of every logit; stored, its"
            " logits as inputs",
            f"{_CHANGED}: the loss has a second term",
        ),
        _technique(
            "sparse gradient compression",
            "/workload/optimizer",
            ["mesgc", "cesgc"],
            "optimizer state: 2 chunks k numbers of a parameter, whatever its size (arXiv"
            " 2502.00311); not the gradient",
            "s rounds of matching pursuit over every parameter; correlations and a random matrix"
            " while it is stepped",
            f"{_CHANGED}: a step changes s numbers of each chunk",
        ),
        _technique(
            "low-rank gradients",
            "/workload/optimizer",
            ["galore_adamw"],
            "optimizer state: r (n + 2 m) numbers of a matrix of m x n (arXiv 2403.03507)",
            "a singular value decomposition of each matrix every update_interval steps",
            f"{_CHANGED}: matrices are stepped in the space of r singular vectors",
        ),
        _technique(
            "optimizer loop",
            "/workload/optimizer/foreach",
            ["foreach", "fused"],
            "foreach false: temporaries the size of all parameters; fused: no temporaries at all",
            "foreach false: one small kernel for each parameter",
            _SAME,
        ),
        _technique(
            "key-value cache",
            "/workload/cache",
            ["dynamic", "static", "none"],
            "dynamic: grows with the text, but is copied as it grows; static: allocated once;"
            " none: no keys and values stay",
            "static: room for the longest text from the start; none: every new token computes the"
            " whole text again",
            "unchanged",
        ),
    ]


def _optimizers() -> list[str]:
    from planner.models.optimizers import OPTIMIZERS

    return list(OPTIMIZERS)
