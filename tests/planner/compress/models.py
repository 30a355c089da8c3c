"""Small real models that several tests compress."""

import torch

from planner.check import check
from planner.models.build import build_model
from planner.request import SimulationRequest
from planner.step import prepare
from tests.planner.requests import request

TASKS = {"gpt2": "text-generation", "llama": "text-generation", "bert": "fill-mask"}


def model_of(model_type, **options):
    torch.manual_seed(0)
    asked = request(model_type, TASKS[model_type], mode="inference", **options)
    return build_model(asked.model, asked.workload).eval()


def tokens(count=32):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(512, (2, count), generator=generator)


def network(task="text-generation", **attention):
    """An architecture of two blocks."""
    body = {
        "model": {
            "source": "architecture",
            "task": task,
            "hidden_size": 64,
            "embedding": {"kind": "tokens", "vocab_size": 512, "positions": "rotary"},
            "blocks": [
                {
                    "repeat": 2,
                    "attention": {"kind": "dense", "num_heads": 4, **attention},
                    "feed_forward": {"kind": "gated", "intermediate_size": 96},
                }
            ],
        },
        "workload": {"mode": "inference", "batch_size": 2, "sequence_length": 32},
    }
    return prepare(check(SimulationRequest.model_validate(body))).model.eval()
