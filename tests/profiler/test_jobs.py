"""The real jobs, through the real executor: a small GPT-2 and a small Llama."""

import pytest
import pytest_asyncio

from planner.check import check
from planner.devices import BUILTIN
from planner.predict import predict
from planner.request import SimulationRequest
from planner.step import prepare
from planner.tape import Tape
from planner.versions import versions
from profiler.executor import Executor
from profiler.limits import Limits
from profiler.timeline import Timeline

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = Limits(wall_seconds=120, memory_bytes=2 * 2**30, timing_budget_seconds=20)
CPU = BUILTIN["cpu"].model_dump(mode="json")
GPT2 = {
    "model": {
        "source": "transformers",
        "task": "text-generation",
        "config": {
            "model_type": "gpt2",
            "n_layer": 2,
            "n_embd": 128,
            "n_head": 4,
            "vocab_size": 1000,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
    },
    "workload": {"mode": "train", "batch_size": 2, "sequence_length": 64},
}
PLANNED = {
    **GPT2,
    "strategy": {
        "units": [
            {"module": "transformer.h.0", "action": "recompute"},
            {"module": "transformer.h.1", "action": "recompute"},
        ]
    },
}
LLAMA = {
    "model": {
        "source": "transformers",
        "task": "text-generation",
        "config": {
            "model_type": "llama",
            "num_hidden_layers": 2,
            "hidden_size": 128,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 256,
            "vocab_size": 1000,
        },
    },
    "workload": {"mode": "generation", "new_tokens": 4, "batch_size": 2, "sequence_length": 32},
}


def changed(request, **workload):
    return {**request, "workload": {**request["workload"], **workload}}


def storage_bytes(tensors):
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(tmp_path_factory):
    async with Executor(scratch=tmp_path_factory.mktemp("executor")) as started:
        await started.ready()
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ran(executor):
    outcome = await executor.run(GPT2, CPU, limits=LIMITS)
    assert outcome.status == "succeeded", outcome
    return outcome


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulated(executor):
    outcome = await executor.simulate(GPT2, CPU, limits=LIMITS)
    assert outcome.status == "succeeded", outcome
    return outcome


class TestRun:
    async def test_what_is_measured_at_the_borders_is_what_must_live_there(self, ran):
        """Counted from the tensors themselves, without profiler or tracer."""
        job = prepare(check(SimulationRequest.model_validate(GPT2)), "cpu")
        parameters = storage_bytes(job.model.parameters())
        built = storage_bytes([*job.model.parameters(), *job.model.buffers(), *job.inputs.values()])
        step_counters = 4 * len(list(job.model.parameters()))
        measured = ran.result["measured"]
        ends = {phase["name"]: phase["end_bytes"] for phase in measured["phases"]}
        assert measured["start_bytes"] == built
        assert ends["step0.backward"] == built + parameters
        assert ends["step0.optimizer_step"] == built + 3 * parameters + step_counters
        assert ends["step0.zero_grad"] == built + 2 * parameters + step_counters
        assert ends["step1.zero_grad"] == ends["step0.zero_grad"], "nothing grows from step to step"

    async def test_the_peak_is_the_highest_of_the_phases(self, ran):
        measured = ran.result["measured"]
        peaks = {phase["name"]: phase["peak_bytes"] for phase in measured["phases"]}
        assert measured["peak_bytes"] == max(peaks.values()) == peaks[measured["peak_phase"]]
        assert len(measured["step_seconds_samples"]) >= 3
        assert measured["step_seconds"] > 0

    async def test_the_timeline_has_the_same_peak(self, ran):
        timeline = Timeline.from_bytes(ran.artifacts["timeline"])
        phases = {name: (start, end) for name, start, end in timeline.phases}
        start, end = phases["step1.backward"]
        inside = (timeline.time_ns >= start) & (timeline.time_ns <= end)
        assert timeline.live_bytes[inside].max() == ran.result["measured"]["peak_bytes"]

    async def test_the_environment_is_told(self, ran):
        environment = ran.result["environment"]
        assert environment["versions"] == versions()
        assert environment["threads"] >= 1
        assert environment["device"]["kind"] == "cpu"

    async def test_generation_has_a_prefill_and_a_decode(self, executor):
        outcome = await executor.run(LLAMA, CPU, limits=LIMITS)
        assert outcome.status == "succeeded", outcome
        phases = [phase["name"] for phase in outcome.result["measured"]["phases"]]
        assert phases == ["step0.prefill", "step0.decode"]

    async def test_live_bytes_over_the_limit_are_out_of_memory(self, executor, ran):
        peak = ran.result["measured"]["peak_bytes"]
        limits = Limits(wall_seconds=120, memory_bytes=peak - 1, timing_budget_seconds=0)
        outcome = await executor.run(GPT2, CPU, limits=limits)
        assert outcome.status == "out_of_memory"
        assert outcome.problem["phase"] == "step1.backward"
        assert outcome.problem["peak_bytes"] == peak
        limits = Limits(wall_seconds=120, memory_bytes=peak, timing_budget_seconds=0)
        assert (await executor.run(GPT2, CPU, limits=limits)).status == "succeeded"

    async def test_a_workload_far_over_the_limit_never_gets_the_memory(self, executor):
        limits = Limits(wall_seconds=120, memory_bytes=64 * 2**20)
        outcome = await executor.run(changed(GPT2, batch_size=4096), CPU, limits=limits)
        assert outcome.status == "out_of_memory"
        assert outcome.problem["phase"] == "step0.forward"
        assert outcome.exit.peak_rss_bytes < 2**31

    async def test_no_time_for_timing_is_said(self, executor):
        limits = Limits(wall_seconds=120, memory_bytes=2**30, timing_budget_seconds=0)
        outcome = await executor.run(GPT2, CPU, limits=limits)
        assert outcome.result["measured"]["step_seconds"] is None
        assert "0 samples" in outcome.result["measured"]["notes"][0]


class TestRunOfAPlan:
    async def test_it_is_measured_beside_its_baseline(self, executor, ran):
        heard = []
        outcome = await executor.run(
            PLANNED, CPU, limits=LIMITS, on_progress=heard.append, baseline=True
        )
        assert outcome.status == "succeeded", outcome
        result = outcome.result
        assert result["gradients_match"]["bitwise"], result["gradients_match"]
        assert result["gradients_match"]["dropout"]
        plain = result["baseline"]["measured"]
        assert plain["phases"] == ran.result["measured"]["phases"]
        assert result["measured"]["peak_bytes"] < plain["peak_bytes"]
        ratio = result["measured"]["step_seconds"] / plain["step_seconds"]
        assert result["slowdown"] == pytest.approx(ratio)
        assert "timeline" in outcome.artifacts
        phases = [message["phase"] for message in heard]
        assert "baseline" in phases
        assert phases[-1] == "gradients"

    async def test_without_being_asked_there_is_no_baseline(self, ran):
        assert set(ran.result) == {"measured", "environment"}

    async def test_a_baseline_that_is_known_not_to_fit_is_left_out(self, executor):
        outcome = await executor.run(
            PLANNED, CPU, limits=LIMITS, baseline=True, baseline_bytes=3 * 2**30
        )
        assert outcome.status == "succeeded", outcome
        assert "3.00 GiB" in outcome.result["baseline"]["reason"]
        assert "compare" in outcome.result["gradients_match"]["reason"]
        assert outcome.result["slowdown"] is None
        assert outcome.result["measured"]["step_seconds"] > 0

    async def test_a_baseline_that_does_not_fit_loses_nothing(self, executor):
        """Nobody said that it would not: the allocator refuses in the middle of it."""
        config = {**GPT2["model"]["config"], "n_layer": 1, "n_embd": 32, "vocab_size": 8000}
        large = changed(GPT2, batch_size=256)
        large["model"] = {**GPT2["model"], "config": config}
        large["strategy"] = {"units": PLANNED["strategy"]["units"][:1], "micro_batches": 16}
        limits = Limits(wall_seconds=240, memory_bytes=200 * 2**20, timing_budget_seconds=0)
        outcome = await executor.run(large, CPU, limits=limits, baseline=True)
        assert outcome.status == "succeeded", outcome
        assert "allocate" in outcome.result["baseline"]["reason"]
        assert outcome.result["gradients_match"]["bitwise"], "of the micro-batch, which fits"


class TestSimulate:
    async def test_the_tape_gives_the_prediction_again(self, simulated):
        tape = Tape.load(simulated.artifacts["tape"])
        again = predict(tape, BUILTIN["cpu"])
        assert again.model_dump(mode="json") == simulated.result["prediction"]
        assert simulated.result["versions"] == versions()

    async def test_predicted_and_measured_agree(self, simulated, ran):
        predicted = simulated.result["prediction"]
        measured = ran.result["measured"]
        assert predicted["peak_phase"] == measured["peak_phase"]
        assert predicted["peak_bytes"] == pytest.approx(measured["peak_bytes"], rel=0.001)
        assert [p["name"] for p in predicted["phases"]] == [p["name"] for p in measured["phases"]]

    async def test_the_step_has_seconds_by_the_profile_of_the_device(self, executor, simulated):
        seconds = simulated.result["prediction"]["step_seconds"]
        assert seconds > 0
        slow = {**CPU, "peak_flops": {"fp32": 1e6}}
        outcome = await executor.simulate(GPT2, slow, limits=LIMITS)
        assert outcome.result["prediction"]["step_seconds"] > 10 * seconds

    async def test_phases_stream(self, executor):
        heard = []
        await executor.simulate(GPT2, CPU, limits=LIMITS, on_progress=heard.append)
        phases = [message["phase"] for message in heard]
        assert "step1.backward" in phases
        assert phases[-1] == "simulate"


class TestNothingIsTrusted:
    @pytest.mark.parametrize("kind", ["run", "simulate"])
    @pytest.mark.parametrize(
        ("request_body", "pointer"),
        [
            (changed(GPT2, mode="trian"), "/workload/mode"),
            (changed(GPT2, batch_size=-1), "/workload/batch_size"),
            ({"workload": {}}, "/model"),
            ({**GPT2, "surprise": 1}, "/surprise"),
        ],
    )
    async def test_a_stored_request_is_validated_again(self, executor, kind, request_body, pointer):
        outcome = await getattr(executor, kind)(request_body, CPU, limits=LIMITS)
        assert outcome.status == "failed"
        assert outcome.problem["type"] == "invalid-request"
        assert pointer in [error["pointer"] for error in outcome.problem["errors"]]

    async def test_so_is_the_device(self, executor):
        outcome = await executor.run(GPT2, {**CPU, "kind": "abacus"}, limits=LIMITS)
        assert outcome.problem["type"] == "invalid-request"
