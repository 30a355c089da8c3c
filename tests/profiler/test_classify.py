import pytest

from profiler.classify import Observed, classify, signal_name
from profiler.frames import Frame
from profiler.limits import Limits
from profiler.outcome import ChildExit

KILLED = ChildExit(signal="SIGKILL")


def observed(kind="run", **seen):
    return Observed(kind, Limits(wall_seconds=5, memory_bytes=2**30), **seen)


def test_the_last_word_counts_even_when_the_child_was_killed_after_it():
    outcome = classify(observed(last=Frame("succeeded", {"a": 1}, {"t": b"x"}), exit=KILLED))
    assert (outcome.status, outcome.result, outcome.artifacts) == (
        "succeeded",
        {"a": 1},
        {"t": b"x"},
    )


def test_a_kill_by_the_kernel_for_memory():
    outcome = classify(observed(kernel_killed=True, phase="step1.backward", exit=KILLED))
    assert outcome.status == "out_of_memory"
    assert outcome.problem["phase"] == "step1.backward"
    assert outcome.problem["limit_bytes"] == 2**30


def test_a_kill_for_memory_of_a_simulation_is_a_limit():
    outcome = classify(observed("simulate", kernel_killed=True, exit=KILLED))
    assert outcome.status == "failed"
    assert outcome.problem["type"] == "limit-exceeded"


def test_out_of_memory_by_the_childs_own_word_names_its_phase():
    said = Frame("out_of_memory", {"detail": "no", "phase": "build", "peak_bytes": 7})
    outcome = classify(observed(last=said, phase="step0.forward"))
    assert outcome.status == "out_of_memory"
    assert outcome.problem["phase"] == "build"
    assert outcome.problem["peak_bytes"] == 7
    assert outcome.problem["detail"].endswith(": no")


@pytest.mark.parametrize("seen", [{"timed_out": True}, {"exit": ChildExit(signal="SIGXCPU")}])
def test_too_long(seen):
    outcome = classify(observed(phase="step0.forward", **seen))
    assert outcome.problem["type"] == "limit-exceeded"
    assert "5 s" in outcome.problem["detail"]
    assert outcome.problem["phase"] == "step0.forward"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"exit": KILLED}, "SIGKILL"),
        ({"exit": ChildExit(code=3)}, "status 3"),
        ({"exit": ChildExit()}, "forked from"),
        ({"malformed": "no header", "exit": KILLED}, "no header"),
    ],
)
def test_a_crash_says_how(seen, words):
    outcome = classify(observed(**seen))
    assert outcome.status == "failed"
    assert outcome.problem["type"] == "worker-crashed"
    assert words in outcome.problem["detail"]


def test_names_of_signals():
    assert signal_name(0) is None
    assert signal_name(3) is None
    assert signal_name(-9) == "SIGKILL"
    assert signal_name(-100) == "signal 100"


def test_a_limit_that_the_child_names_is_the_one_that_was_passed():
    """A device's memory is not the host's."""
    said = Frame("out_of_memory", {"detail": "no", "limit_bytes": 80 * 2**30})
    problem = classify(observed(last=said)).problem
    assert problem["limit_bytes"] == 80 * 2**30
    assert "80.00 GiB" in problem["detail"]
