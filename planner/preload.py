"""Imports what a trace imports lazily, so that a warm process can fork children that trace at once.

Importing this module traces one tiny model's forward pass: that pulls in torch's fake-tensor
machinery and `transformers`' modelling and generation code (together most of the first trace's
time). No thread is started, so the process may still fork.
"""

from __future__ import annotations

import gc
import importlib

import torch

from planner.versions import versions

_MODULES = (
    "torch._dynamo",
    "torch._meta_registrations",
    "torch.utils.checkpoint",
    "transformers.generation",
    "transformers.loss.loss_utils",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "peft",
)

for _module in _MODULES:
    importlib.import_module(_module)


def _trace_tiny_model() -> None:
    from planner.devices import BUILTIN
    from planner.request import SimulationRequest
    from planner.trace import trace

    config = {"model_type": "llama", "vocab_size": 256, "hidden_size": 128}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    request = SimulationRequest.model_validate(
        {
            "model": {"source": "transformers", "config": config | heads},
            "workload": {"mode": "inference", "sequence_length": 64},
        }
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what is computed for real here must not start OpenMP's pool
    trace(request, BUILTIN["cpu"], probe=False)
    torch.set_num_threads(threads)
    gc.collect()


_trace_tiny_model()
# A child may not read where a checkout keeps its own version: it is known before the fork.
versions()
