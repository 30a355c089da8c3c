"""Every error names the field, says what is wrong and how to mend it."""

from __future__ import annotations

import copy

import pytest
from pydantic import ValidationError

from planner.check import check_plan
from planner.errors import InvalidRequest
from planner.plans import PlanRequest
from tests.planner.models.layers.networks import NETWORKS, network, node
from tests.planner.models.layers.requests import problems, request

X = {"x": {"shape": [8]}}
LINEAR = {"in_features": 8, "out_features": 8}


def chain(*nodes, inputs=X, **options):
    return network(inputs, list(nodes), **options)


def only(model, **options):
    found = problems(model, **options)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("mode", ["train", "inference"])
def test_correct_graphs_pass(name, mode):
    assert problems(NETWORKS[name], mode=mode) == []


WRONG = {
    "unknown op": (
        node("a", "Linaer", "x", **LINEAR), "/model/nodes/0/op", "unknown op 'Linaer'", "Linear",
    ),
    "op that is no allowed one": (
        node("a", "eval", "x"), "/model/nodes/0/op", "unknown op 'eval'", "GET /v1/models",
    ),
    "unknown argument": (
        node("a", "Linear", "x", in_feature=8, out_features=8, in_features=8),
        "/model/nodes/0/args/in_feature", "takes no argument 'in_feature'", "in_features",
    ),
    "missing argument": (
        node("a", "Linear", "x", in_features=8),
        "/model/nodes/0/args", "needs out_features", "add",
    ),
    "argument of a wrong type": (
        node("a", "Linear", "x", in_features="8", out_features=8),
        "/model/nodes/0/args/in_features", '"8" is not an integer', "give an integer",
    ),
    "true for a number": (
        node("a", "Linear", "x", in_features=True, out_features=8),
        "/model/nodes/0/args/in_features", "true is not an integer", "give an integer",
    ),
    "chunk of nothing": (
        node("a", "Mamba", "x", hidden_size=8, chunk_size=0),
        "/model/nodes/0/args/chunk_size", "0 is not an integer", "at most 1024",
    ),
    "list of a wrong length": (
        node("a", "Conv2d", "x", in_channels=8, out_channels=8, kernel_size=[3, 3, 3]),
        "/model/nodes/0/args/kernel_size", "a list of 2", "a list of 2",
    ),
    "string that is no choice": (
        node("a", "Conv1d", "x", in_channels=8, out_channels=8, kernel_size=1, padding_mode="nil"),
        "/model/nodes/0/args/padding_mode", "reflect", "circular",
    ),
    "device": (
        node("a", "Linear", "x", device="cuda", **LINEAR),
        "/model/nodes/0/args/device", "takes no argument 'device'", "It takes in_features",
    ),
    "argument that torch refuses": (
        node("a", "Conv1d", "x", in_channels=8, out_channels=8, kernel_size=1, groups=3),
        "/model/nodes/0/args/in_channels", "divisible by groups", "documentation",
    ),
    "shape that torch refuses": (
        node("a", "Linear", "x", in_features=9, out_features=8),
        "/model/nodes/0", "Linear(in_features=9, out_features=8) cannot take x [4, 8]",
        "batch in front",
    ),
    "too few inputs": (
        node("a", "matmul", "x"), "/model/nodes/0/inputs", "takes 2 inputs, not 1", None,
    ),
    "not the batch first": (
        node("a", "GRU", "x", input_size=8, hidden_size=8, batch_first=False),
        "/model/nodes/0/args/batch_first", "dimension 0 is the batch", "leave it out",
    ),
    "unknown input": (
        node("a", "Linear", "y", **LINEAR), "/model/nodes/0/inputs/0", "there is no 'y'", "name an",
    ),
    "second output of an input": (
        node("a", "Linear", "x:1", **LINEAR), "/model/nodes/0/inputs/0", "one tensor", "'x'",
    ),
    "name of an attribute": (
        node("a.forward", "Linear", "x", **LINEAR), "/model/nodes/0/name", "'forward'", "forward_",
    ),
    "in place on an input": (
        node("a", "ReLU", "x", inplace=True), "/model/nodes/0", "overwrite 'x'", "leave inplace",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_node_is_named(case):
    wrong, pointer, detail, remedy = WRONG[case]
    inputs = {**X, "z": {"shape": [8]}}
    nodes = [wrong, node("head", "Bilinear", [wrong["name"], "x"], in1_features=8, in2_features=8,
                         out_features=2), node("end", "mul", ["head", "z"])]  # fmt: skip
    if case != "shape that torch refuses":
        inputs.pop("z")
        nodes.pop()
    else:
        nodes = [wrong, node("end", "mul", [wrong["name"], "z"])]
    found = [problem for problem in problems(network(inputs, nodes)) if problem.pointer == pointer]
    assert found
    assert detail in found[0].detail
    assert remedy is None or remedy in found[0].remedy


def test_every_wrong_node_is_reported_at_once():
    model = chain(node("a", "Linaer", "x"), node("b", "Linear", "a", in_features="8"))
    assert {problem.pointer for problem in problems(model)} == {
        "/model/nodes/0/op",
        "/model/nodes/1/args",
        "/model/nodes/1/args/in_features",
    }


def test_two_nodes_of_one_name():
    model = chain(node("a", "Linear", "x", **LINEAR), node("a", "ReLU", "x"))
    assert only(model).pointer == "/model/nodes/1/name"


def test_a_node_with_the_name_of_a_group():
    model = chain(node("a", "Linear", "x", **LINEAR), node("a.b", "ReLU", "a"))
    assert "group of a.*" in only(model).detail


def test_a_cycle_is_shown():
    model = chain(node("a", "add", ["x", "c"]), node("b", "ReLU", "a"), node("c", "ReLU", "b"))
    problem = only(model)
    assert problem.pointer == "/model/nodes/0/inputs"
    assert "a -> b -> c -> a is a cycle" in problem.detail


def test_what_no_output_depends_on():
    model = chain(
        node("a", "Linear", "x", **LINEAR), node("b", "ReLU", "a"), outputs=["a"],
        inputs={**X, "y": {"shape": [1]}},
    )  # fmt: skip
    assert [problem.pointer for problem in problems(model)] == ["/model/inputs/y", "/model/nodes/1"]


def test_an_output_that_a_node_has_not():
    model = chain(
        node("a", "Linear", "x", **LINEAR),
        node("b", "chunk", "a", chunks=2, dim=1),
        node("c", "ReLU", "b:2"),
    )
    problem = only(model)
    assert problem.pointer == "/model/nodes/2/inputs/0"
    assert "it has 2" in problem.remedy


def test_in_place_on_what_others_use():
    layers = [node("a", "Linear", "x", **LINEAR), node("b", "ReLU", "a", inplace=True)]
    assert problems(chain(*layers)) == []
    assert only(chain(*layers, node("c", "add", ["a", "b"]))).pointer == "/model/nodes/1"


def test_losses_that_do_not_fit_the_output():
    flat = chain(
        node("a", "Linear", "x", **LINEAR), node("b", "sum", "a", dim=1), loss="cross_entropy"
    )
    assert only(flat).pointer == "/model/outputs/0"
    assert problems(flat | {"loss": "mse"}) == []


def test_nothing_to_train():
    model = chain(node("a", "ReLU", "x"))
    assert only(model).pointer == "/model/nodes"
    assert problems(model, mode="inference") == []


def test_batch_statistics_of_one_sample():
    model = chain(node("a", "BatchNorm1d", "x", num_features=8))
    assert "more than 1 value per channel" in only(model, batch_size=1).detail
    assert problems(model, mode="inference", batch_size=1) == []


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"mode": "generation", "new_tokens": 2}, "/workload/mode"),
        ({"image_size": 32}, "/workload/image_size"),
        ({"target_length": 32}, "/workload/target_length"),
        ({"strategy": {"attention": "sdpa"}}, "/strategy/attention"),
        ({"strategy": {"checkpointing": "full"}}, "/strategy/checkpointing"),
        ({"optimizer": {"name": "adamx"}}, "/workload/optimizer/name"),
    ],
)
def test_what_has_no_meaning_for_a_graph_is_refused(options, pointer):
    assert only(chain(node("a", "Linear", "x", **LINEAR)), **options).pointer == pointer


def test_more_work_than_the_check_may_do():
    deep = [node(f"n{i}", "LSTM", f"n{i - 1}" if i else "x", input_size=8, hidden_size=8,
                 num_layers=64) for i in range(40)]  # fmt: skip
    model = network({"x": {"shape": [4, 8]}}, deep)
    found = problems(model)
    assert [problem.pointer for problem in found] == ["/model/nodes"]
    assert "10240 plain layers" in found[0].detail


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"x": {"shape": [8], "dtype": "int"}}},
        {"inputs": {"x": {"shape": [8], "high": 4}}},
        {"inputs": {"x": {"shape": [0]}}},
        {"inputs": {}},
        {"nodes": []},
        {"nodes": [node("a-b", "ReLU", "x")]},
        {"nodes": [{"name": "a", "inputs": ["x"]}]},
        {"nodes": [node("a", "ReLU", "x", inplace={"code": "1"})]},
        {"nodes": [node("a", "ReLU", "x", inplace=float("nan"))]},
        {"nodes": [{"name": "a", "op": "ReLU", "reuse": "b", "inputs": ["x"]}]},
        {"nodes": [node(".".join("abcdefghi"), "ReLU", "x")]},
        {"loss": "lambda y: y"},
    ],
)
def test_what_is_no_description_is_refused_by_its_schema(change):
    model = copy.deepcopy(chain(node("a", "Linear", "x", **LINEAR))) | change
    with pytest.raises(ValidationError):
        request(model)


def test_plans_for_a_length_need_one_in_a_shape():
    def plan(model):
        body = {"model": model, "workload": {"batch_size": 2, "sequence_length": 48}}
        return check_plan(PlanRequest.model_validate(body | {"solve_for": "sequence_length"}))

    plan(NETWORKS["gpt"])
    with pytest.raises(InvalidRequest) as caught:
        plan(NETWORKS["cnn"])
    assert caught.value.errors[0].pointer == "/solve_for"
