"""Systems of weights in few bits, of optimizer states, of teachers and of hardware."""

from __future__ import annotations

from typing import Any

from benchmarks.systems_compact import bert, twins
from benchmarks.systems_figures import bits_a_weight
from benchmarks.systems_rows import Figure, System, asked, library, preset, small

LLAMA: dict[str, Any] = {
    "hidden_size": 1_024, "intermediate_size": 2_816, "num_hidden_layers": 4,
    "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 8_192,
}  # fmt: skip
GPT2 = {"model_type": "gpt2", "n_embd": 512, "n_layer": 6, "n_head": 8, "vocab_size": 8_192}


def compressed(choice: dict[str, Any] | None, model: dict[str, Any]) -> dict[str, Any]:
    """Inference of a batch of four sequences of 256 tokens."""
    strategy = {} if choice is None else {"compression": [choice]}
    return asked(model, 4, 256, mode="inference", strategy=strategy)


def llama(attention: str | None = None, **config: Any) -> dict[str, Any]:
    """A narrow Llama."""
    model = library("llama", "text-generation", **{**LLAMA, **config})
    return model if attention is None else {**model, "attention": attention}


TINY = llama(hidden_size=256, intermediate_size=688, num_attention_heads=4)
WHOLE = {kind: compressed(None, llama(kind)) for kind in ("eager", "sdpa")}


def _compression(
    name: str, source: str, truth: str, choice: dict[str, Any], *figures: Figure
) -> System:
    return System(
        name, source, truth, compressed(choice, TINY), compressed(choice, llama()), WHOLE, figures
    )


NF4 = {"kind": "quantization", "format": "nf4"}
PLAIN_NF4 = {**NF4, "double_quantization": False}
WEIGHTS = (
    _compression(
        "int8 weights",
        "arXiv 2208.07339; as torchao stores them",
        "Three quarters of the linear layers' fp32 weights; one layer is rebuilt at a time, and"
        " nothing but adapters, biases and norms can learn.",
        {"kind": "quantization", "format": "int8"},
    ),
    _compression(
        "NF4 weights, QLoRA",
        "arXiv 2305.14314; as bitsandbytes stores them",
        "All but 4.13 of 32 bits of the linear layers' weights; embeddings and head stay, one"
        " layer is rebuilt at a time.",
        NF4,
        Figure("bits a weight", 4.127, "bit", bits_a_weight(NF4)),
        Figure("without double quantization", 4.5, "bit", bits_a_weight(PLAIN_NF4)),
    ),
    _compression(
        "Sparse weights, bitmask",
        "adapter-ALBERT, arXiv 2303.16100; EdgeBERT",
        "At half the weights, half of the bytes less one bit a weight; the product rebuilds them."
        " Masks alone (`masked`) make it grow, CSR saves nothing at a half.",
        {"kind": "sparse", "storage": "bitmask", "sparsity": 0.5},
    ),
    _compression(
        "Numerical Pruning",
        "arXiv 2412.12441",
        "Sliced matrices: weights, activations and cache shrink together. Its calibration, on real"
        " weights, holds three squares of the feed-forward's width.",
        {"kind": "structural_pruning", "ratio": 0.2, "score": "numerical"},
    ),
    _compression(
        "Low rank by SVD",
        "Eckart and Young 1936",
        "r (in + out) numbers of in x out; the decomposition itself needs more while it loads.",
        {"kind": "low_rank", "rank": 64},
    ),
)


def optimized(**optimizer: Any) -> dict[str, Any]:
    """GPT-2 of six layers in training."""
    model = {"source": "transformers", "task": "text-generation", "config": GPT2}
    return asked(model, 4, 256, optimizer=optimizer)


ADAMW = {
    kind: {**(case := optimized(name="adamw")), "model": {**case["model"], "attention": kind}}
    for kind in ("eager", "sdpa")
}


def _optimizer(system: str, source: str, truth: str, **optimizer: Any) -> System:
    return System(
        system, source, truth, small("gpt2", optimizer=optimizer), optimized(**optimizer), ADAMW
    )


STATES_OF_OPTIMIZERS = (
    _optimizer(
        "8-bit Adam",
        "arXiv 2110.02861",
        "Six of AdamW's eight bytes a parameter; parameters and gradients stay.",
        name="adamw8bit",
    ),
    _optimizer(
        "GaLore",
        "arXiv 2403.03507",
        "Moments of r numbers in place of n for each column; gradients stay whole, and a"
        " decomposition is made now and then.",
        name="galore_adamw",
        rank=64,
    ),
    _optimizer(
        "SGC",
        "arXiv 2502.00311",
        "Nearly all of AdamW's states; gradients stay whole, and a stored projection takes more"
        " than it saves.",
        name="mesgc",
    ),
)


def _replayed(backward: str) -> dict[str, Any]:
    model = preset("memformer")
    return asked({**model, "memory": {**model["memory"], "backward": backward}}, 8, 256)


TEACHER = {"teacher": {"source": "preset", "name": "bert-base"}}
OTHERS = (
    System(
        "Distillation",
        "arXiv 1503.02531, 1910.01108",
        "Nothing while it lasts: it costs the teacher's parameters and several tensors of tokens x"
        " vocabulary. What it saves is the smaller model afterwards.",
        small("distilbert", distillation=TEACHER),
        asked(
            library("distilbert", "fill-mask"), 8, 128,
            distillation={"teacher": {**TEACHER["teacher"], "size": "paper"}},
        ),
        twins(library("distilbert", "fill-mask"), 8, 128),
    ),
    System(
        "Memformer, MRBP",
        "arXiv 2010.06891",
        "Of T segments' tensors one segment's, for one more forward; a longer horizon costs"
        " memories alone. Recomputed blocks can take less than replayed segments. (In the column"
        " of SDPA: back-propagation through time.)",
        small("memformer", sequence_length=64),
        _replayed("mrbp"),
        {"sdpa": _replayed("bptt")},
    ),
    System(
        "Accelerator memories: TransCODE, adapter-ALBERT",
        "arXiv 2303.14882, 2303.16100; AccelTran",
        "Where tensors lie, not how many there are: what each memory holds and moves. Latency and"
        " energy are bounds by bandwidth, not simulated cycles.",
        asked(
            bert(
                hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
            ),
            1,
            128,
            mode="inference",
        ),
    ),
)  # fmt: skip
