from __future__ import annotations

import pytest

from app.cli.errors import CliError, ExitCode
from app.cli.outcome import fits, needed_bytes, require_succeeded


@pytest.mark.parametrize(
    ("resource", "exit_code"),
    [
        ({"status": "out_of_memory", "problem": {"detail": "killed"}}, ExitCode.DOES_NOT_FIT),
        ({"status": "cancelled", "problem": None}, ExitCode.FAILURE),
        ({"status": "failed", "problem": {"type": "step-failed"}}, ExitCode.FAILURE),
        (
            {"status": "failed", "problem": {"type": "https://x/problems/invalid-request"}},
            ExitCode.USAGE,
        ),
    ],
)
def test_how_it_ended_is_the_exit_code(resource, exit_code):
    with pytest.raises(CliError) as caught:
        require_succeeded(resource)
    assert caught.value.exit_code == exit_code


def test_success_goes_on():
    require_succeeded({"status": "succeeded"})


def test_the_driver_number_counts_where_it_is_known():
    assert needed_bytes({"peak_bytes": 5, "reserved_bytes": None, "device_bytes": None}) == 5
    assert needed_bytes({"peak_bytes": 5, "reserved_bytes": 7, "device_bytes": 9}) == 9


def test_it_fits_up_to_the_last_byte_and_where_no_capacity_is_known():
    assert fits({"peak_bytes": 10}, 10)
    assert not fits({"peak_bytes": 10}, 9)
    assert fits({"peak_bytes": 10}, None)
