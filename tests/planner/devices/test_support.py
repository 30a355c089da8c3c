"""What a posted profile must say, and what can be simulated."""

import pytest
from pydantic import ValidationError

from planner.devices import (
    DeviceProfile,
    builtin_device,
    check_profile,
)
from planner.errors import InvalidRequest

CARD = {
    "name": "card",
    "kind": "cuda",
    "architecture": "sm_90",
    "memory_bytes": "80GiB",
    "multiprocessors": 132,
}


def problems(**changes):
    with pytest.raises(InvalidRequest) as caught:
        check_profile(DeviceProfile.model_validate({**CARD, **changes}))
    assert all(problem.remedy for problem in caught.value.errors)
    return {problem.pointer for problem in caught.value.errors}


def test_a_card_that_says_enough():
    assert check_profile(DeviceProfile.model_validate(CARD)).compute_capability == (9, 0)


@pytest.mark.parametrize("field", ["architecture", "memory_bytes", "multiprocessors"])
def test_a_card_that_leaves_out_what_decides_its_kernels(field):
    assert problems(**{field: None}) == {f"/{field}"}


def test_every_missing_field_is_named_at_once():
    assert problems(architecture=None, memory_bytes=0, multiprocessors=None) == {
        "/architecture",
        "/memory_bytes",
        "/multiprocessors",
    }


def test_a_context_whose_bounds_are_the_wrong_way_round():
    context = {"low_bytes": "1GiB", "high_bytes": "1MiB", "source": "a guess"}
    assert problems(context_bytes=context) == {"/context_bytes/high_bytes"}


def test_what_only_the_service_can_know_is_not_taken_from_others():
    context = {"low_bytes": 1, "high_bytes": 1, "measured": True, "source": "trust me"}
    claimed = {"train": {"ratio": 1.0, "runs": 1}}
    assert problems(context_bytes=context) == {"/context_bytes/measured"}
    assert problems(calibration=claimed) == {"/calibration"}


def test_a_cpu_has_no_architecture_of_a_gpu():
    assert problems(kind="cpu") == {"/architecture"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architecture", "hopper"),
        ("peak_flops", {"fp33": 1e12}),
        ("peak_flops", {"fp32": 0}),
        ("kind", "tpu"),
        ("allocator", "expandable_segmants:True"),
        ("calibration", {"train": {"ratio": -1, "runs": 1}}),
    ],
)
def test_values_that_no_device_has(field, value):
    with pytest.raises(ValidationError):
        DeviceProfile.model_validate({**CARD, field: value})


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidRequest) as caught:
        builtin_device("abacus")
    assert "h100-80gb" in caught.value.errors[0].remedy
