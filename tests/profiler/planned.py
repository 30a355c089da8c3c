"""Small requests with strategies of every kind, by what they try."""

from planner.strategy import Strategy
from tests.planner.requests import TINY, request


def planned(model_type, task, strategy, *, config=None, **workload):
    """A checked request for one of the `TINY` models, with a strategy."""
    config = {"model_type": model_type, **TINY[model_type], **(config or {})}
    plain = request(model_type, task, model={"config": config}, **workload)
    return plain.model_copy(update={"strategy": Strategy.model_validate(strategy)})


def recompute(*modules):
    return [{"module": module, "action": "recompute"} for module in modules]


def segment(first, last):
    return {"module": first, "through": last, "action": "recompute"}


def selective(module, *save):
    return {"module": module, "action": "selective", "save": list(save)}


TEXT, SEQ2SEQ, IMAGE = "text-generation", "text2text-generation", "image-classification"
GPT2, LLAMA = ("transformer.h.0", "transformer.h.1", "transformer.h.2"), "model.layers"
BERT, VIT = "bert.encoder.layer", "vit.layers"

SAME = {
    "gpt2 recomputed": ("gpt2", TEXT, {"units": recompute(*GPT2[:2])}),
    "gpt2 nested": (
        "gpt2",
        TEXT,
        {"units": recompute(GPT2[0], f"{GPT2[0]}.mlp", f"{GPT2[0]}.attn")},
    ),
    "gpt2 selective": (
        "gpt2",
        TEXT,
        {"units": [selective(GPT2[0], "aten.addmm#0", "aten.addmm#2")]},
    ),
    "gpt2 segment": (
        "gpt2",
        TEXT,
        {"units": [segment(GPT2[0], GPT2[2]), *recompute(GPT2[1], f"{GPT2[2]}.mlp")]},
        {"config": {"n_layer": 3}},
    ),
    "gpt2 accumulating": (
        "gpt2",
        TEXT,
        {"units": recompute(GPT2[0]), "optimizer": {"implementation": "fused"}},
        {"gradient_accumulation_steps": 2},
    ),
    "gpt2 offloaded": ("gpt2", TEXT, {"units": [{"module": GPT2[0], "action": "offload"}]}),
    "llama sdpa": (
        "llama",
        TEXT,
        {"attention": "sdpa", "units": recompute(f"{LLAMA}.0", f"{LLAMA}.1")},
        {"config": {"attention_dropout": 0.1}},
    ),
    "llama full": ("llama", TEXT, {"checkpointing": "full"}),
    "bert autocast": (
        "bert",
        "fill-mask",
        {"units": [selective(f"{BERT}.0", "aten.addmm#0"), *recompute(f"{BERT}.1.attention")]},
        {"precision": "amp-bf16"},
    ),
    "vit micro-batches": (
        "vit",
        IMAGE,
        {"units": [segment(f"{VIT}.0", f"{VIT}.2"), *recompute(f"{VIT}.1")], "micro_batches": 2},
    ),
    "t5": (
        "t5",
        SEQ2SEQ,
        {"units": recompute("encoder.block.0", "decoder.block.0", "decoder.block.1")},
        {"target_length": 16},
    ),
    "resnet": (
        "resnet",
        IMAGE,
        {"units": recompute("resnet.encoder.stages.0", "resnet.encoder.stages.1")},
        {"image_size": 64},
    ),
    "convnext": (
        "convnext",
        IMAGE,
        {"units": recompute("convnext.encoder.stages.1.layers.1")},
        {"image_size": 64},
    ),
}
"""Arithmetic stays what it was, in the order that it was."""

CLOSE = {
    "gpt2 loss in parts": (
        "gpt2",
        TEXT,
        {
            "loss_chunks": 4,
            "units": [segment(GPT2[0], GPT2[1])],
            "optimizer": {"in_backward": True},
        },
    ),
    "llama loss in parts": (
        "llama",
        TEXT,
        {"loss_chunks": 3, "units": recompute(f"{LLAMA}.1.mlp")},
    ),
    "t5 loss in parts": ("t5", SEQ2SEQ, {"loss_chunks": 4}, {"target_length": 16}),
    "gpt2 bf16 loss in parts": (
        "gpt2",
        TEXT,
        {"precision": "bf16", "loss_chunks": 4, "units": recompute(GPT2[0])},
    ),
}
"""Sums are taken in another order."""

CASES = {**SAME, **CLOSE}


def case(name, **workload):
    """The request of one of the `CASES`."""
    model_type, task, strategy, *options = CASES[name]
    return planned(model_type, task, strategy, **{**(options[0] if options else {}), **workload})
