"""What the solver is told of a step, against the steps themselves."""

import random

import pytest

from planner.check import check
from planner.devices import BUILTIN
from planner.planning.compose import unit_choices
from planner.planning.subject import Subject
from planner.planning.variants import explore_shape
from planner.request import SimulationRequest
from planner.solve.problem import Chosen, Segment, peak_bytes
from planner.step import prepare
from planner.strategy import Strategy
from planner.trace import Tracer
from tests.planner.requests import TINY

ALLOWED = frozenset({"checkpointing", "selective", "segments"})
CHOICES = 6  # random ones, for each model

MODELS = {
    "gpt2": ("text-generation", {**TINY["gpt2"], "n_layer": 3}, {"sequence_length": 64}),
    "llama": (
        "text-generation", {**TINY["llama"], "num_hidden_layers": 3}, {"sequence_length": 64},
    ),
    "vit": (
        "image-classification",
        {
            "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
            "intermediate_size": 128, "image_size": 64, "patch_size": 8,
        },
        {"batch_size": 4},
    ),
    "t5": ("text2text-generation", TINY["t5"], {"sequence_length": 64, "target_length": 32}),
    "resnet": (
        "image-classification",
        {**TINY["resnet"], "depths": [2, 2]},
        {"image_size": 32, "batch_size": 4},
    ),
}  # fmt: skip


def request_of(model_type):
    task, fields, workload = MODELS[model_type]
    model = {"source": "transformers", "task": task, "config": {"model_type": model_type, **fields}}
    body = {"model": model, "workload": {"batch_size": 2, **workload}}
    return check(SimulationRequest.model_validate(body))


@pytest.fixture(scope="module", params=MODELS)
def explored(request):
    """A subject with its baseline's peak and its composition, while its tracer is active."""
    tracer = Tracer(BUILTIN["cpu"])
    with tracer.active(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.planning.selection.MAX_SETS", 3)  # for speed
        subject = Subject(tracer, lambda: prepare(request_of(request.param)))
        baseline = subject.baseline()
        shape = explore_shape(subject, baseline, 1, None, ALLOWED)
        assert shape.problems == []
        composition = shape.variant(Strategy(), baseline.tape).composition
        yield subject, int(baseline.tape.live_bytes.max()), composition


def single_choices(problem, draw):
    """Any options, the same for units that share."""
    shared, choices = {}, []
    for index, unit in enumerate(problem.units):
        option = draw.randrange(len(unit.options))
        if unit.shares is not None:
            option = shared.setdefault(unit.shares, option)
        choices.append(Chosen(index, option))
    return tuple(choices)


def with_segments(problem, draw):
    """Any options, and segments around neighbours wherever there may be some."""
    choices, pending = [], list(single_choices(problem, draw))
    while pending:
        first = last = pending[0].unit
        while last < len(problem.units) - 1 and problem.segmentable[last] and draw.random() < 0.7:
            last += 1
        inside, pending = pending[: last - first + 1], pending[last - first + 1 :]
        choices += [Segment(first, last, tuple(inside))] if last > first else inside
    return tuple(choices)


def errors(explored, choose):
    """Certified peaks over the estimates of them, minus 1."""
    subject, _, composition = explored
    draw, found = random.Random(0), []
    for _ in range(CHOICES):
        choices = choose(composition.problem, draw)
        tape = subject.certify(Strategy(units=unit_choices(composition, choices)))
        found.append(int(tape.live_bytes.max()) / peak_bytes(composition.problem, choices) - 1)
    return found


def test_units_are_found_and_may_do_something(explored):
    _, _, composition = explored
    assert len(composition.problem.units) >= 3
    assert sum(len(unit.options) > 1 for unit in composition.problem.units) >= 3


def test_keeping_everything_is_the_baseline_to_the_byte(explored):
    _, baseline, composition = explored
    keep = tuple(Chosen(unit, 0) for unit in range(len(composition.problem.units)))
    assert peak_bytes(composition.problem, keep) == baseline
    assert unit_choices(composition, keep) == []


def test_estimates_of_units_are_within_one_percent(explored, request):
    found = errors(explored, single_choices)
    assert max(found) <= 0.01  # too low an estimate costs the search another attempt
    if request.node.callspec.params["explored"] == "resnet":
        pytest.xfail(f"estimates of tiny residual networks are too high: {min(found):.1%}")
    assert min(found) >= -0.01


def test_estimates_of_segments_are_within_one_percent(explored, request):
    found = errors(explored, with_segments)
    if request.node.callspec.params["explored"] in ("vit", "resnet"):
        pytest.xfail(
            "estimates leave out the random state that a segment keeps, and some of what "
            f"selective units inside hold: {min(found):.1%} to {max(found):+.1%}"
        )
    assert max(map(abs, found)) <= 0.01


def test_certifying_leaves_the_subject_as_it_was(explored):
    subject, baseline, _ = explored
    assert int(subject.certify(Strategy()).live_bytes.max()) == baseline
