"""A planned step holds what was predicted; the unplanned one stands beside it or has a reason."""

import time
from dataclasses import replace

import pytest

from planner.devices import BUILTIN
from planner.simulation import simulate
from planner.trace import trace
from profiler import plan_run, room
from profiler.limits import Limits
from profiler.outcome import RunOutOfMemory
from profiler.plan_run import PlanRun
from profiler.run import measure_request
from tests.planner.requests import request
from tests.profiler.planned import CASES, TEXT, case, planned, recompute

SIZE = {"batch_size": 8, "sequence_length": 64}
ASKED = planned("gpt2", TEXT, {"units": recompute("transformer.h.0", "transformer.h.1")}, **SIZE)
LIMITS = Limits(wall_seconds=600, memory_bytes=2**30, timing_budget_seconds=10)


@pytest.mark.parametrize("name", CASES)
def test_a_planned_step_holds_what_was_predicted(name):
    asked = case(name, **SIZE)
    predicted = simulate(trace(asked, BUILTIN["cpu"]))
    measured = measure_request(asked, timing_budget_seconds=0.0).measured
    assert predicted.peak_phase == measured.peak_phase
    assert predicted.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.001)
    for ours, real in zip(predicted.phases, measured.phases, strict=True):
        # Python numbers that autograd saves as tensors of 8 bytes pass through no op (see docs).
        assert ours.peak_bytes == pytest.approx(real.peak_bytes, abs=512), ours.name
        assert ours.end_bytes == pytest.approx(real.end_bytes, abs=512), ours.name


@pytest.fixture(scope="module")
def measured():
    return measure_request(ASKED, timing_budget_seconds=30.0).measured


def proof(asked, measured, heard=None, **options):
    settings = {
        "device_kind": "cpu",
        "limits": LIMITS,
        "started": time.monotonic(),
        "baseline_bytes": None,
        "on_progress": (heard if heard is not None else []).append,
        **options,
    }
    return PlanRun(asked, measured, **settings).prove()


def test_baseline_slowdown_and_gradients(measured):
    heard = []
    found = proof(ASKED, measured, heard)
    plain = found["baseline"]["measured"]
    unplanned = measure_request(request("gpt2", **SIZE), timing_budget_seconds=0.0).measured
    assert plain["peak_bytes"] == unplanned.peak_bytes
    assert len(plain["step_seconds_samples"]) == len(found["measured"]["step_seconds_samples"])
    assert found["slowdown"] == found["measured"]["step_seconds"] / plain["step_seconds"]
    assert found["measured"]["phases"] == measured.model_dump(mode="json")["phases"]
    assert "in turn" in found["measured"]["notes"][-1]
    assert found["gradients_match"]["bitwise"]
    phases = [message["phase"] for message in heard]
    assert set(phases) == {"baseline", "gradients"}
    assert "step1.backward" in [message.get("at") for message in heard]


@pytest.mark.parametrize(
    "strategy",
    [
        {"micro_batches": 2, "units": recompute("transformer.h.0")},
        {"precision": "bf16"},
        {"optimizer": {"implementation": "fused"}},
        {"optimizer": {"in_backward": True}},
        {"checkpointing": "full"},
    ],
    ids=lambda strategy: next(iter(strategy)),
)
def test_strategies_of_every_kind_have_a_baseline(strategy):
    asked = planned("gpt2", TEXT, strategy)
    mine = measure_request(asked, timing_budget_seconds=2.0).measured
    found = proof(asked, mine, limits=replace(LIMITS, timing_budget_seconds=2.0))
    assert found["baseline"]["measured"]["peak_bytes"] > 0
    assert found["gradients_match"]["match"]


def test_without_training_there_is_a_baseline_but_no_gradient():
    asked = request("gpt2", mode="inference")
    found = proof(asked, measure_request(asked, timing_budget_seconds=5.0).measured)
    assert found["slowdown"] > 0
    assert "training" in found["gradients_match"]["reason"]


def refused(found, measured):
    assert found["slowdown"] is None
    assert found["measured"] == measured.model_dump(mode="json")
    return found["baseline"]["reason"]


def test_a_baseline_over_the_limit_has_a_reason(measured):
    limits = Limits(memory_bytes=measured.peak_bytes)
    known = proof(ASKED, measured, limits=limits, baseline_bytes=measured.peak_bytes + 1)
    assert "more than" in refused(known, measured)
    assert "compare" in known["gradients_match"]["reason"]
    found_out = proof(ASKED, measured, limits=limits)
    assert "live bytes" in refused(found_out, measured)


def test_a_host_that_is_full_is_not_filled_further(measured, monkeypatch):
    monkeypatch.setattr(room, "available_bytes", lambda: 2**20)
    assert "host has" in refused(proof(ASKED, measured), measured)


def test_a_job_that_is_late_begins_nothing_more(measured):
    found = proof(ASKED, measured, started=time.monotonic() - 400)
    assert "time" in refused(found, measured)
    assert "time" in found["gradients_match"]["reason"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "fit in memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "fit in memory"),
        (RuntimeError("something else"), "RuntimeError: something else"),
    ],
)
def test_no_error_loses_the_planned_result(measured, monkeypatch, error, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setitem(plan_run.RECORD, "cpu", fail)
    monkeypatch.setattr(plan_run, "compare_gradients", fail)
    assert words in refused(proof(ASKED, measured), measured)


def test_room_is_asked_for_before_anything_begins():
    room.require_room(2**20, "cpu", Limits(memory_bytes=2**21))
    room.require_room(2**60, "cuda", Limits(memory_bytes=2**21))
    with pytest.raises(RunOutOfMemory, match=r"1\.00 MiB"):
        room.require_room(2**20, "cpu", Limits(memory_bytes=2**19))
    assert room.available_bytes() > 0
