"""SegResMamba: what its paper says of it, and that nothing in it is dead."""

from math import prod

import pytest
import torch

from planner.check import check
from planner.devices import BUILTIN
from planner.models.layers.description import LayersModel
from planner.models.layers.shapes import infer_shapes
from planner.models.layers.wiring import Value
from planner.presets.segresmamba import segresmamba
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.step import forward, prepare
from planner.trace import trace

WIDTHS = (48, 96, 192, 384)
DATASETS = {  # tables 1 to 3: side, channels, classes, GMAC
    "BTCV": (128, 1, 14, 336.45),
    "BraTS": (128, 4, 3, 340.52),
    "Spleen": (96, 1, 2, 137.84),
}


def described(size, channels, classes, widths=WIDTHS):
    return LayersModel.model_validate(
        {"source": "layers", **segresmamba(size, channels, classes, widths, 64)}
    )


def request(model, **workload):
    body = {"model": model, "workload": {"batch_size": 1, **workload}}
    return check(SimulationRequest.model_validate(body))


def products(model, *, transposed_by_outputs, biases=True):
    """Multiply-accumulates of the convolutions of one volume, with additions of biases."""
    shapes = infer_shapes(model, 1, training=False)
    total = 0
    for node in model.nodes:
        if node.op not in ("Conv3d", "ConvTranspose3d"):
            continue
        made = shapes.values[Value(node.name)].shape
        given = shapes.values[Value.parse(node.inputs[0])].shape
        by_inputs = node.op == "ConvTranspose3d" and not transposed_by_outputs
        places = prod((given if by_inputs else made)[2:])
        weights = node.args["kernel_size"] ** 3 * given[1] * made[1]
        total += weights * places
        if biases and node.args.get("bias", True):
            total += prod(made)
    return total


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_published_products_by_the_published_way_to_count(dataset):
    """The paper counts as ptflops did: a transposed convolution's kernel once for every *output*,
    which is 8 times too often here, and nothing of the state spaces. Its number then has two more
    3^3 convolutions with biases at every level than its figure and algorithm have; in the released
    code there is one of them, in the place of the outer state space.
    """
    size, channels, classes, published = DATASETS[dataset]
    found = products(described(size, channels, classes), transposed_by_outputs=True)
    for level, width in enumerate(WIDTHS):
        places = (size >> level + 1) ** 3
        found += 2 * (27 * width + 1) * width * places
    assert found / 1e9 == pytest.approx(published, rel=1e-3)


def test_the_network_as_described_takes_less_than_half_of_them():
    convolutions = products(described(128, 1, 14), transposed_by_outputs=False)
    assert convolutions / 1e9 == pytest.approx(141.4, abs=0.1)


def test_the_tapes_flops_are_twice_the_products():
    size, widths = 32, (16, 32)
    model = described(size, 1, 4, widths)
    tape = trace(request(model, mode="inference"), BUILTIN["cpu"])
    counted = {}
    for op, flops in zip(tape.op_name.tolist(), tape.op_flops.tolist(), strict=True):
        counted[tape.names[op]] = counted.get(tape.names[op], 0) + flops
    convolutions = products(model, transposed_by_outputs=False, biases=False)
    matrices = reads = 0
    for level, width in enumerate(widths):
        inner, rank, states = 2 * width, -(-width // 16), 16
        for side in (size >> level + 1, size >> level + 2):
            tokens = side**3
            # One map in and one out for three scans; the rest three times.
            matrices += tokens * (3 * width * inner + 3 * inner * (2 * rank + 2 * states))
            reads += 3 * tokens * inner * states
            convolutions += 3 * 4 * inner * (tokens + 3)  # depthwise; those cut off too
    assert counted["aten.convolution"] == 2 * convolutions
    assert counted["aten.mm"] == 2 * matrices
    assert counted["aten.bmm"] == 2 * reads


@pytest.fixture(scope="module")
def gradients():
    torch.manual_seed(0)
    job = prepare(request({"source": "preset", "name": "segresmamba", "size": "small"}))
    forward(job).backward()
    return {name: p.grad for name, p in job.model.named_parameters()}


def test_every_parameter_gets_a_gradient(gradients):
    assert all(grad is not None and grad.isfinite().all() for grad in gradients.values())


def test_no_state_space_is_dead(gradients):
    of_scans = {name: grad for name, grad in gradients.items() if ".mamba." in name}
    blocks = {name.split(".mamba.")[0] for name in of_scans}
    assert blocks == {f"encoder.{n}.{part}" for n in (0, 1) for part in ("inner", "outer")}
    # Two outer maps, and of three scans a convolution, x_proj, dt_proj, A and D.
    assert len(of_scans) == len(blocks) * (2 + 3 * (2 + 1 + 2 + 1 + 1))
    assert all(grad.abs().max() > 0 for grad in of_scans.values())


def test_an_odd_side_is_padded_for_the_scans_and_cropped_again():
    model = described(24, 1, 2, (16, 32, 48))  # 12, 6 and 3 voxels a side; inside 6, 3 and 2
    shapes = infer_shapes(model, 2, training=True)
    assert shapes.of(model.outputs)[0].shape == (2, 2, 24, 24, 24)
    assert {"encoder.1.inner.pad", "encoder.2.outer.pad"} <= {node.name for node in model.nodes}


@pytest.mark.slow
def test_chunks_are_what_makes_the_paper_size_possible():
    def peak(model):
        return simulate(trace(request(model), BUILTIN["cpu"])).peak_bytes

    paper = described(128, 1, 14)
    tokens, inner, states = 64**3, 96, 16  # of the first level's outer ToM
    one_scan = tokens * inner * states * 4
    assert peak(paper) < 4 * one_scan  # kept, the states of that ToM alone would be 9 and more
