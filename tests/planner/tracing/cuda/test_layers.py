"""Graphs of layers on the simulated device: every step is traced, and its categories add up."""

import pytest

from planner.simulation import simulate
from planner.tape import Category
from tests.planner.models.layers.networks import NETWORKS
from tests.planner.models.layers.requests import request
from tests.planner.tapes import check_tape
from tests.planner.tracing.cuda.devices import nvidia, trace_storages

WORKLOADS = {"train": {}, "autocast": {"precision": "amp-bf16"}, "inference": {"mode": "inference"}}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step(name, workload):
    asked = request(NETWORKS[name], device="h100-80gb", **WORKLOADS[workload])
    tape = trace_storages(asked, nvidia())
    check_tape(tape)
    prediction = simulate(tape)
    assert prediction.peak_bytes == sum(prediction.at_peak.model_dump().values())
    held = tape.storage_bytes[tape.storage_category == Category.parameters].sum()
    assert held == 4 * tape.meta["parameter_count"]


def test_a_reduced_loss_holds_a_temporary_and_keeps_its_storage():
    size = 4 * 26**3 * 4  # of the output, in bytes
    tape = trace_storages(request(NETWORKS["mlp3d"], device="h100-80gb"), nvidia())
    loss = [op for op, name in enumerate(tape.op_name) if tape.names[name] == "aten.mse_loss"]
    assert len(loss) == 2
    made = list(zip(tape.storage_op.tolist(), tape.storage_bytes.tolist(), strict=True))
    assert all(made.count((op, size)) >= 2 for op in loss)
