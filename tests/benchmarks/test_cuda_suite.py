"""The command of the CUDA suite: which profile it predicts for, and what it refuses."""

import asyncio
import copy
import json

import pytest

from benchmarks import cuda_suite
from benchmarks.cuda_suite import NoDevice, attached, parsed, profile_for
from planner.devices import BUILTIN
from planner.errors import InvalidRequest
from profiler.outcome import Outcome
from tests.benchmarks.rows import HEADER, MIB

POSTED = {
    "name": "my-gpu", "kind": "cuda", "architecture": "sm_90", "multiprocessors": 132,
    "memory_bytes": 85_027_979_264,
}  # fmt: skip


@pytest.fixture
def posted(tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(POSTED))
    return path


@pytest.fixture
def unknown_card():
    header = copy.deepcopy(HEADER)
    header["environment"]["device"]["name"] = "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    return header


class TestProfile:
    def test_the_card_is_known_by_its_driver_and_its_context_by_measurement(self):
        profile = profile_for(HEADER, None, None)
        assert profile.name == "h100-80gb"
        assert profile.context_bytes.measured
        assert profile.context_bytes.low_bytes == profile.context_bytes.high_bytes == 500 * MIB

    def test_an_unmeasured_context_leaves_the_published_range(self):
        header = HEADER | {"context": {"context_bytes": None}}
        assert profile_for(header, None, None) == BUILTIN["h100-80gb"]

    def test_a_posted_profile_goes_first(self, posted, unknown_card):
        assert profile_for(unknown_card, None, posted).name == "my-gpu"
        assert profile_for({}, None, posted).context_bytes is None

    def test_a_posted_profile_that_lacks_something_is_refused(self, tmp_path):
        path = tmp_path / "profile.json"
        path.write_text(json.dumps({"name": "my-gpu", "kind": "cuda"}))
        with pytest.raises(InvalidRequest, match="architecture"):
            profile_for({}, None, path)

    def test_an_unknown_card_is_told_what_to_post(self, unknown_card):
        with pytest.raises(NoDevice, match="--profile") as refused:
            profile_for(unknown_card, None, None)
        example = str(refused.value).partition("such as ")[2]
        assert json.loads(example) == POSTED

    def test_rows_of_one_card_are_no_measurements_of_another(self):
        with pytest.raises(NoDevice, match="measured on NVIDIA H100"):
            profile_for(HEADER, "h200", None)

    def test_without_card_or_name_there_is_nothing_to_predict_for(self):
        with pytest.raises(NoDevice, match="--device"):
            profile_for({}, None, None)


class TestCommand:
    def test_a_device_is_chosen_without_a_gpu_only(self, capsys):
        with pytest.raises(SystemExit):
            parsed(["--device", "h100-80gb"])
        assert "--predict-only" in capsys.readouterr().err
        assert parsed(["--device", "h100-80gb", "--predict-only"]).device == "h100-80gb"

    def test_no_gpu_is_said(self):
        class Executor:
            async def execute(self, kind, payload):
                return Outcome("failed", None, {"detail": "Torch not compiled with CUDA enabled"})

        with pytest.raises(NoDevice, match=r"not compiled.*--predict-only needs none"):
            asyncio.run(attached(Executor()))

    def test_the_exit_status_is_2_without_a_device(self, monkeypatch, capsys):
        async def refuse(options, until):
            raise NoDevice("no CUDA device can be used")

        monkeypatch.setattr(cuda_suite, "run", refuse)
        assert cuda_suite.main([]) == 2
        assert "no CUDA device" in capsys.readouterr().err
