"""Architectures are traced on a simulated CUDA device."""

import pytest

from planner.devices import BUILTIN
from planner.predict import predict
from planner.trace import trace
from tests.planner.models.architecture.descriptions import EVERY, request

H100 = BUILTIN["h100-80gb"]
CASES = [
    *("decoder block-sparse", "decoder lsh", "decoder memory", "decoder experts", "images"),
    *("decoder adapters", "decoder priming far", "encoder bottleneck"),
    *("decoder mamba", "encoder mamba"),
    *("encoder-decoder eager", "memformer", "memformer mrbp, dropout"),
]
OPTIONS = {"workload": {"precision": "amp-bf16"}, "strategy": {"checkpointing": "full"}}


def predicted(asked):
    return predict(trace(asked, H100), H100, "train")


@pytest.mark.parametrize("name", CASES)
def test_steps_are_predicted_with_autocast_and_checkpointing(name):
    prediction = predicted(request(**EVERY[name], **OPTIONS))
    assert prediction.reserved_bytes >= prediction.peak_bytes > 0


def saved_bytes(residual, depth):
    """What the second step's forward leaves for backward."""
    phases = predicted(request(repeat=depth, residual=residual, dropout=0.1)).phases
    ends = {phase.name: phase.end_bytes for phase in phases}
    return ends["step1.forward"] - ends["step0.zero_grad"]


def test_reversible_blocks_save_nothing_more_for_more_of_them():
    assert saved_bytes("reversible", 2) == saved_bytes("reversible", 6)
    assert saved_bytes("plain", 6) > 2 * saved_bytes("plain", 2)
