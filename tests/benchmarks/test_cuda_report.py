"""The page of the CUDA suite."""

import copy

from benchmarks.cuda_report import TABLE, described, line, page
from planner.devices import BUILTIN
from tests.benchmarks.rows import HEADER, MIB, OUT_OF_MEMORY, measured, predicted, row

H100 = BUILTIN["h100-80gb"]


def test_a_line_has_a_cell_for_each_column():
    whole = row(predicted=predicted(101 * MIB, 120 * MIB), measured=measured())
    assert line(whole) == (
        "| toy | 1,000 | 105,906,176 | 104,857,600 | +1.000% | 125,829,120 | 125,829,120 | +0.000% "
        "| 650,117,120 | - | no | no |"
    )
    for one in (whole, row(), row(predicted=predicted(fits=None), measured=OUT_OF_MEMORY)):
        assert line(one).count("|") == TABLE.partition("\n")[0].count("|")


def test_the_device_and_everything_that_moves_its_numbers_is_named():
    told = "\n".join(described(HEADER, H100))
    for part in (
        *("NVIDIA H100 80GB HBM3", "132", "9.0", "580.1", "CUDA 13.0", "91501", "native"),
        *("torch 2.13.0+cu130", "transformers 5.23.0", "torch 2.13.0+cpu", "torch's defaults"),
        "500.00 MiB with cuBLAS loaded, 300.00 MiB without",
    ):
        assert part in told


def test_settings_that_predictions_do_not_follow_are_said():
    header = copy.deepcopy(HEADER)
    header["environment"]["settings"] = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    told = "\n".join(described(header, H100))
    assert "PYTORCH_ALLOC_CONF=expandable_segments:True" in told
    assert "predictions assume the allocator's defaults" in told


def test_an_unknown_context_is_said():
    header = HEADER | {"context": {"bare_bytes": None, "context_bytes": None}}
    assert "the profile's range stands" in "\n".join(described(header, H100))


def test_without_a_gpu_nothing_is_claimed_to_be_measured():
    told = described({"versions": {"torch": "2.13.0+cpu"}}, H100)
    assert told == [
        "predicted for: h100-80gb; nothing was measured",
        "predicted with: torch 2.13.0+cpu",
    ]


def test_phases_that_deviate_are_explained_and_others_are_not():
    exact = row("exact", predicted=predicted(), measured=measured())
    off = row(
        "off",
        predicted=predicted(90 * MIB),
        measured=measured(held=[(10 * MIB, 1, "made in build")], replayed=(100 * MIB, 120 * MIB)),
    )
    text = page(HEADER, H100, [exact, off])
    assert "### off" in text
    assert "### exact" not in text
    assert "- step0.forward: measured has 1 x 10,485,760 (made in build)" in text
    assert "did not come to their end" not in text


def test_cases_that_ended_early_are_listed():
    text = page(HEADER, H100, [row("big", predicted=predicted(), measured=OUT_OF_MEMORY)])
    assert "- big: measured: out of memory in step0.forward" in text


def test_no_deviation_is_claimed_only_where_something_was_compared():
    exact = row(predicted=predicted(), measured=measured())
    assert "None." in page(HEADER, H100, [exact])
    assert "Phases that deviate" not in page(HEADER, H100, [row(predicted=predicted())])
