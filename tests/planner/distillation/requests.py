"""Small models that learn from teachers."""

from planner.check import check
from planner.request import SimulationRequest
from tests.planner.requests import TINY

BERT = {
    "source": "transformers",
    "task": "fill-mask",
    "config": {"model_type": "bert", **TINY["bert"]},
}
STUDENT = {**BERT, "config": {**BERT["config"], "num_hidden_layers": 1}}
DISTILBERT = {
    "source": "transformers",
    "task": "fill-mask",
    "config": {
        "model_type": "distilbert", "dim": 128, "n_layers": 1, "n_heads": 2, "hidden_dim": 256,
        "vocab_size": 512,
    },
}  # fmt: skip
GPT2 = {
    "source": "transformers",
    "task": "text-generation",
    "config": {"model_type": "gpt2", **TINY["gpt2"]},
}
ENCODER = {
    "source": "architecture",
    "task": "fill-mask",
    "hidden_size": 32,
    "embedding": {"kind": "tokens", "vocab_size": 512, "max_positions": 32},
    "blocks": [{"attention": {"kind": "dense", "num_heads": 4}, "feed_forward": {"kind": "dense"}}],
}


def asked(model, distillation, **more):
    """The body of a request."""
    workload = {"batch_size": 2, "sequence_length": 32, **more}
    return {"model": model, "workload": {**workload, "distillation": distillation}}


def request(model, distillation, **more):
    """A checked request."""
    return check(SimulationRequest.model_validate(asked(model, distillation, **more)))


CASES = {
    "online": request(DISTILBERT, {"teacher": BERT}),
    "hidden": request(STUDENT, {"teacher": BERT, "hidden": True}),
    "bf16": request(STUDENT, {"teacher": BERT}, precision="bf16"),
    "autocast": request(STUDENT, {"teacher": BERT}, precision="amp-bf16"),
    "stored": request(DISTILBERT, {"logits": "stored"}),
    "top-k": request(GPT2, {"logits": "stored", "top_k": 8}, gradient_accumulation_steps=2),
    "decoder": request(GPT2, {"teacher": GPT2}),
    "architecture": request(ENCODER, {"teacher": BERT}),
    "architecture teaches": request(STUDENT, {"teacher": ENCODER}),
}
