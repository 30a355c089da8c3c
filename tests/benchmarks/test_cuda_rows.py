"""Deviations, their causes and their summary, on rows made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cuda_rows import (
    causes,
    failure,
    measured_out_of_memory,
    pair,
    percentile,
    phases,
    predicted_out_of_memory,
    summary,
)
from tests.benchmarks.rows import FAILED, MIB, OUT_OF_MEMORY, SKIPPED, measured, predicted, row


def explained(one):
    (phase,) = phases(one)
    return causes(one, phase)


class TestPairs:
    def test_the_error_is_relative_to_what_was_measured(self):
        both = pair(row(predicted=predicted(90), measured=measured(100)), "peak_bytes")
        assert (both.predicted, both.measured) == (90, 100)
        assert both.error == pytest.approx(-0.1)

    @pytest.mark.parametrize("column", [OUT_OF_MEMORY, FAILED, SKIPPED])
    def test_without_a_measurement_there_is_none(self, column):
        assert pair(row(predicted=predicted(), measured=column), "peak_bytes") is None
        assert list(phases(row(predicted=predicted(), measured=column))) == []

    def test_without_a_prediction_there_is_none(self):
        assert pair(row(predicted=FAILED, measured=measured()), "reserved_bytes") is None
        assert pair(row(), "reserved_bytes") is None

    def test_a_phase_deviates_above_half_a_percent(self):
        def deviates(allocated, reserved):
            columns = {
                "predicted": predicted(allocated, reserved),
                "measured": measured(1000, 1000),
            }
            (phase,) = phases(row(**columns))
            return phase.deviates

        assert not deviates(1005, 995)
        assert deviates(1006, 1000)
        assert deviates(1000, 994)


class TestCauses:
    def test_an_allocation_that_the_prediction_lacks(self):
        workspace = (32 * MIB, 2, "made in step0.forward")
        shared = (36 * MIB, 1, "made in build")
        found = explained(
            row(
                predicted=predicted(36 * MIB, 40 * MIB, held=[(36 * MIB, 1, "head.weight")]),
                measured=measured(
                    100 * MIB, 104 * MIB, held=[workspace, shared], replayed=(100 * MIB, 104 * MIB)
                ),
            )
        )
        assert found == [
            "of the deviation in allocated bytes, -67,108,864 come from other requests than "
            "measured and +0 from the simulated allocator",
            "of the deviation in reserved bytes, -67,108,864 come from other requests than "
            "measured and +0 from the simulated allocator",
            "measured has 2 x 33,554,432 (made in step0.forward) that the prediction lacks",
        ]

    def test_the_same_requests_and_another_allocator(self):
        found = explained(
            row(
                predicted=predicted(100 * MIB, 120 * MIB, held=[(MIB, 100, "w")]),
                measured=measured(
                    100 * MIB, 110 * MIB, held=[(MIB, 100, "w")], replayed=(100 * MIB, 120 * MIB)
                ),
            )
        )
        assert found == [
            "of the deviation in reserved bytes, +0 come from other requests than measured and "
            "+10,485,760 from the simulated allocator"
        ]

    def test_a_prediction_too_much_and_an_unsplit_rest(self):
        found = explained(
            row(
                predicted=predicted(held=[(64 * MIB, 1, "aten.mm in head"), (4 * MIB, 1, "x")]),
                measured=measured(held=[(4 * MIB + 512, 1, "y")], replayed=(100 * MIB, 120 * MIB)),
            )
        )
        assert found == [
            "predicted are 1 x 67,108,864 (aten.mm in head) that were not measured",
            "1 pairs of blocks differ by an unsplit rest: measured +512 bytes",
        ]

    def test_many_small_ones_are_summed_up(self):
        many = [((index + 1) * 512, 2, "made in build") for index in range(8)]
        *_, last = explained(
            row(predicted=predicted(), measured=measured(held=many, replayed=(0, 0)))
        )
        assert last == (
            "measured has 4 smaller blocks, 3,072 bytes in all, that the prediction lacks"
        )

    def test_without_a_history_nothing_is_claimed(self):
        (cause,) = explained(row(predicted=predicted(), measured=measured()))
        assert "no cause can be told" in cause


class TestOutOfMemory:
    @pytest.mark.parametrize(("fits", "word"), [(True, "no"), (False, "yes"), (None, "depends")])
    def test_predicted(self, fits, word):
        assert predicted_out_of_memory(row(predicted=predicted(fits=fits))) == word

    @pytest.mark.parametrize(
        ("column", "word"),
        [(measured(), "no"), (OUT_OF_MEMORY, "yes"), (FAILED, "-"), (SKIPPED, "-")],
    )
    def test_measured(self, column, word):
        assert measured_out_of_memory(row(measured=column)) == word

    def test_missed_false_and_open_ones_are_counted_apart(self):
        rows = [
            row(predicted=predicted(fits=fits), measured=column)
            for fits, column, times in (
                (False, OUT_OF_MEMORY, 4),
                (True, OUT_OF_MEMORY, 3),
                (False, measured(), 2),
                (None, measured(), 1),
                (True, measured(), 5),
                (False, FAILED, 6),
            )
            for _ in range(times)
        ]
        assert summary(rows)[-1] == (
            "out of memory: 4 foreseen, 3 missed, 2 false; 1 left open by the context's size"
        )


class TestSummary:
    def test_median_percentile_and_worst(self):
        rows = [
            row(f"case {index}", predicted=predicted(1000 - index), measured=measured(1000))
            for index in range(20)
        ]
        assert summary(rows)[1] == (
            "allocated peak, error over 20 cases: median 0.950%, 95th percentile 1.800%, "
            "worst -1.900% (case 19); 19 predicted too low"
        )

    def test_states(self):
        rows = [
            row(predicted=predicted(), measured=measured()),
            row(predicted=FAILED, measured=OUT_OF_MEMORY),
            row(predicted=predicted(), measured=SKIPPED),
        ]
        assert summary(rows)[0] == (
            "3 cases: 2 predicted (1 failed), 2 measured (0 failed, 1 skipped)"
        )

    def test_of_nothing(self):
        assert summary([])[1:] == [
            "allocated peak: nothing to compare",
            "reserved peak: nothing to compare",
            "out of memory: nothing to compare",
        ]

    @given(st.lists(st.floats(0, 1), min_size=1), st.floats(0.01, 1))
    def test_a_percentile_bounds_its_share(self, values, share):
        bound = percentile(values, share)
        assert bound in values
        assert sum(value <= bound for value in values) >= share * len(values) - 1e-9
        assert sum(value < bound for value in values) < share * len(values) + 1e-9


def test_failures_say_which_side_and_where():
    assert failure(row(predicted=predicted(), measured=measured())) is None
    assert failure(row(predicted=FAILED, measured=SKIPPED)) == (
        "predicted: failed, ValueError: no; measured: skipped, no time was left"
    )
    assert failure(row(predicted=predicted(fits=False), measured=OUT_OF_MEMORY)) == (
        "measured: out of memory in step0.forward; "
        "predicted: out of memory in step0.forward, for 3.00 MiB"
    )
