"""Spaces of designs with a simulator of arithmetic in the place of the real one."""

from __future__ import annotations

from typing import Any

from planner.designs.answer import DesignMetrics
from planner.designs.capacity import Capacity
from planner.designs.check import check_design_search
from planner.designs.request import DesignSearchRequest
from planner.designs.search import Outcome
from planner.errors import InvalidRequest, StepFailed
from planner.request import SimulationRequest

BERT = {
    "model": {
        "source": "transformers",
        "task": "fill-mask",
        "config": {"model_type": "bert", "vocab_size": 1000, "max_position_embeddings": 64},
    },
    "workload": {"mode": "train", "batch_size": 4, "sequence_length": 32},
}
#: Sixty designs, a fifth of which cannot be built: 3 heads do not divide 64 or 128.
SIZES = {
    "hidden": [48, 64, 96, 128, 192],
    "heads": [2, 3],
    "layers": [1, 2, 4],
    "feed_forward": [64, 256],
}


def asked(**fields: Any) -> DesignSearchRequest:
    """A checked search of the sixty designs."""
    body = BERT | {"transformer": SIZES} | fields
    return check_design_search(DesignSearchRequest.model_validate(body))


def arithmetic(request: SimulationRequest) -> Outcome:
    """Sizes of a transformer as a formula has them: quick, and of the right shape."""
    config = request.model.config
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    layers, feed_forward = config["num_hidden_layers"], config["intermediate_size"]
    if hidden % heads:
        raise InvalidRequest.at("/model/config", f"{heads} does not divide {hidden}")
    if hidden == 192 and layers == 4:
        raise StepFailed("a step that fails for reasons of its own")
    parameters = 1000 * hidden + layers * (4 * hidden**2 + 2 * hidden * feed_forward)
    tokens = request.workload.batch_size * request.workload.sequence_length
    kept = layers * tokens * (10 * hidden + 2 * feed_forward) + layers * heads * tokens * 32
    bits = Capacity(
        attention=float(4 * hidden * layers), feed_forward=float(hidden * layers + feed_forward)
    )
    return Outcome(
        DesignMetrics(
            peak_bytes=16 * parameters + 4 * kept,
            step_seconds=6e-9 * parameters + 1e-5 * layers,
            parameter_count=parameters,
            capacity=bits,
            score=bits.score(0.5),
        )
    )
