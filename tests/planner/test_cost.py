"""Times of ops by the roofline, on a tape made by hand."""

import numpy as np
import pytest

from planner.cost import calibrated, op_seconds, step_seconds
from planner.devices import BUILTIN, Calibration, DeviceProfile
from planner.tape import OpFlag
from tests.planner.tapes import tape_of

DEVICE = DeviceProfile(
    name="even",
    peak_flops={"fp32": 100.0, "bf16": 200.0},
    memory_bandwidth_bytes_per_s=10.0,
    op_overhead_s=0.5,
)


SMALL, LARGE, HALF = ("float32", (1,)), ("float32", (12,)), ("bfloat16", (10,))


def tape(phases, **columns):
    """Four ops: 400 FLOPs; 48 bytes read and written; 4 read; 400 FLOPs, 20 bytes of bf16."""
    values = {
        "op_flops": np.array([400, 0, 0, 400], dtype=np.int64),
        "op_inputs": np.array([1, 0], dtype=np.int32),
        "op_inputs_at": np.array([0, 0, 1, 2, 2], dtype=np.int64),
        "op_outputs": np.array([0, 1, 2], dtype=np.int32),
        "op_outputs_at": np.array([0, 1, 2, 2, 3], dtype=np.int64),
        "tensor_storage": np.zeros(3, dtype=np.int32),
        "tensor_op": np.array([0, 1, 3], dtype=np.int32),
        "tensor_layout": np.array([0, 1, 2], dtype=np.int32),
        "layouts": [SMALL, LARGE, HALF],
    }
    return tape_of([0, ~0], [8], op_events=[0, 0, 1, 1], phases=phases, **values | columns)


ONE = {"step0.forward": (0, 2)}


def test_an_op_takes_its_arithmetic_its_traffic_or_its_overhead():
    # 400 / 100; (48 + 48) / 10; only overhead; 400 / 200, for it makes bf16; or 20 / 10
    assert op_seconds(tape(ONE), DEVICE).tolist() == [4.0, 9.6, 0.5, 2.0]


def test_views_take_no_time():
    flags = np.array([0, OpFlag.view, 0, 0], dtype=np.uint8)
    assert op_seconds(tape(ONE, op_flags=flags), DEVICE).tolist() == [4.0, 0.0, 0.5, 2.0]


def test_dtypes_that_a_profile_does_not_know_go_at_the_speed_of_fp32():
    layouts = [SMALL, LARGE, ("int64", (1,))]
    assert op_seconds(tape(ONE, layouts=layouts), DEVICE)[3] == 4.0


def test_a_profile_without_speeds_still_orders_ops():
    seconds = op_seconds(tape(ONE), DeviceProfile(name="mute"))
    assert (seconds > 0).all()
    assert seconds[1] > seconds[2]


PHASES = {
    "step0.forward": (0, 1), "step0.backward": (1, 1), "step1.forward": (1, 1),
    "step1.optimizer_step": (1, 2),
}  # fmt: skip


def test_a_steps_time_is_that_of_the_last_one_traced():
    phase = np.array([0, 1, 2, 3], dtype=np.int32)
    assert step_seconds(tape(PHASES, op_phase=phase), DEVICE) == 2.5


@pytest.mark.parametrize(("micro_batches", "seconds"), [(1, 2.5), (2, 3.0), (8, 6.0)])
def test_micro_batches_that_the_tape_leaves_out_take_as_long(micro_batches, seconds):
    phase = np.array([0, 1, 2, 3], dtype=np.int32)
    found = step_seconds(tape(PHASES, op_phase=phase), DEVICE, micro_batches)
    assert found == seconds


GPU = DeviceProfile(
    name="card",
    kind="cuda",
    architecture="sm_90",
    peak_flops={"fp32": 100.0, "tf32": 400.0, "fp16": 800.0, "fp8": 1600.0},
    memory_bandwidth_bytes_per_s=1e12,
)


def product(name, read, written):
    """A tape of one op of 1600 FLOPs that reads and writes a small tensor of these dtypes each."""
    return tape_of(
        [0, ~0],
        [8],
        op_events=[0],
        names=[name],
        op_flops=np.array([1600], dtype=np.int64),
        op_inputs=np.arange(len(read), dtype=np.int32),
        op_inputs_at=np.array([0, len(read)], dtype=np.int64),
        op_outputs=np.array([len(read)], dtype=np.int32),
        op_outputs_at=np.array([0, 1], dtype=np.int64),
        tensor_storage=np.zeros(len(read) + 1, dtype=np.int32),
        tensor_op=np.zeros(len(read) + 1, dtype=np.int32),
        tensor_layout=np.arange(len(read) + 1, dtype=np.int32),
        layouts=[(dtype, (1,)) for dtype in (*read, written)],
    )


@pytest.mark.parametrize(
    ("name", "read", "written", "seconds"),
    [
        ("aten.mm", ["float32", "float32"], "float32", 16.0),  # matmul.allow_tf32 is False
        ("aten.mm", ["float16", "float16"], "float32", 2.0),  # what it reads, not what it writes
        ("aten._scaled_mm", ["float8_e4m3fn", "float8_e4m3fn"], "bfloat16", 1.0),
        ("aten._grouped_mm", ["float16", "float16", "int32"], "float16", 2.0),
        ("aten.index_mm", ["int64", "float16"], "float32", 2.0),  # indices are not worked in
        ("aten.convolution", ["float32", "float32"], "float32", 4.0),  # cudnn.allow_tf32 is True
        ("aten.convolution_backward", ["float32", "float32"], "float32", 4.0),
        ("aten.convolution", ["float16", "float16"], "float16", 2.0),
        ("aten.mm", ["bfloat16", "bfloat16"], "bfloat16", 16.0),  # no units: as fp32
    ],
)
def test_products_go_at_the_peak_that_torchs_defaults_give_them(name, read, written, seconds):
    assert op_seconds(product(name, read, written), GPU).tolist() == [seconds]


def test_only_cudnn_takes_tf32_and_only_nvidia_has_it():
    tape = product("aten.convolution", ["float32"], "float32")
    amd = GPU.model_copy(update={"architecture": "gfx942"})
    assert op_seconds(tape, amd).tolist() == [16.0]
    assert op_seconds(tape, GPU.model_copy(update={"kind": "cpu", "architecture": None})) == 16.0


def test_two_bytes_are_never_slower_than_four_on_a_built_in_device():
    for device in BUILTIN.values():
        halves = op_seconds(product("aten.mm", ["float16"] * 2, "float16"), device)
        singles = op_seconds(product("aten.mm", ["float32"] * 2, "float32"), device)
        assert halves <= singles, device.name


def test_runs_scale_the_roofline():
    assert calibrated(2.0, None) == 2.0
    assert calibrated(2.0, Calibration(ratio=1.5, runs=3)) == 3.0
