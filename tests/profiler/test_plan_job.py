"""What a child does with the payload of a plan; the planner itself has tests of its own."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from planner.devices import BUILTIN
from planner.errors import InvalidRequest
from planner.plans import Plan
from profiler import jobs
from profiler.executor import JOBS
from tests.app.fakes import PLAN, PROGRESS
from tests.planner.tapes import tape_of

REQUEST = {
    "model": {"source": "transformers", "config": {"model_type": "gpt2"}},
    "budget": {"memory": "1GiB"},
}
CPU = BUILTIN["cpu"].model_dump(mode="json")
TAPE = tape_of([0, ~0], [100])


class Channel:
    def __init__(self):
        self.heard = []

    def progress(self, message):
        self.heard.append(message)


@pytest.fixture
def asked(monkeypatch):
    """A planner that answers with a fixed plan; what it was asked is in the list."""
    found = []

    def make_plan(request, device, progress, *, devices):
        found.append((request, device))
        progress(PROGRESS)
        return Plan.model_validate(PLAN), TAPE

    planning = ModuleType("planner.planning")
    planning.make_plan = make_plan
    monkeypatch.setitem(sys.modules, "planner.planning", planning)
    return found


def test_a_plan_and_the_tape_of_its_step_come_back(asked):
    channel = Channel()
    done = jobs.plan({"request": REQUEST, "device": CPU}, channel)
    assert Plan.model_validate(done.result["plan"]) == Plan.model_validate(PLAN)
    assert "torch" in done.result["versions"]
    assert done.artifacts == {"tape": TAPE.to_bytes()}
    assert channel.heard == [PROGRESS]
    ((request, device),) = asked
    assert request.budget.memory == 2**30
    assert device == BUILTIN["cpu"]
    assert JOBS["plan"] == "profiler.jobs:plan"


@pytest.mark.parametrize(
    "change", [{"budget": {"memory": -1}}, {"strategy": {}}, {"workload": {"mode": "inference"}}]
)
def test_what_was_stored_is_checked_again(asked, change):
    with pytest.raises(InvalidRequest):
        jobs.plan({"request": {**REQUEST, **change}, "device": CPU}, Channel())
    assert asked == []
