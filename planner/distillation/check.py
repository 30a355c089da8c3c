"""Whether a model can learn from the teacher that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from planner.architecture import ArchitectureModel
from planner.distillation.logits import SAMPLE_TASKS, TOKEN_TASKS, classes, logits_shape
from planner.errors import FieldProblem, InvalidRequest
from planner.models.config import make_config
from planner.models.layers.description import LayersModel
from planner.request import (
    Distillation,
    ModelDescription,
    SimulationRequest,
    TransformersModel,
    Workload,
)
from planner.strategy import Strategy

_ROOT = "/workload/distillation"
_TEACHER = f"{_ROOT}/teacher"

Problems = Callable[[SimulationRequest], list[FieldProblem]]


def distillation_problems(request: SimulationRequest, problems_of: Problems) -> list[FieldProblem]:
    """What is wrong with the teacher, by itself and beside the model.

    Args:
        problems_of: a request, whose pointers begin with /model.
    """
    spec = request.workload.distillation
    if spec is None:
        return []
    if (problem := _unsupported(request.model, "/model")) is not None:
        return [problem]
    teacher = spec.teacher
    if teacher is None:
        return list(_beside(request, spec, None))
    if (problem := _unsupported(teacher, _TEACHER)) is not None:
        return [problem]
    update = {"mode": "inference", "distillation": None}
    workload = request.workload.model_copy(update=update)
    alone = request.model_copy(
        update={"model": teacher, "workload": workload, "strategy": Strategy()}
    )
    problems = [_of_teacher(problem) for problem in problems_of(alone)]
    return problems or list(_beside(request, spec, teacher))


def _of_teacher(problem: FieldProblem) -> FieldProblem:
    if not problem.pointer.startswith("/model"):
        return replace(problem, detail=f"the teacher's: {problem.detail}")
    return replace(problem, pointer=_TEACHER + problem.pointer.removeprefix("/model"))


def _unsupported(model: ModelDescription, pointer: str) -> FieldProblem | None:
    if isinstance(model, LayersModel):
        return FieldProblem(
            f"{pointer}/source",
            "a graph of layers does not say which of its outputs are logits",
            'use "transformers" or "architecture"',
        )
    assert isinstance(model, (TransformersModel, ArchitectureModel)), "presets are resolved"
    tasks = (*TOKEN_TASKS, *SAMPLE_TASKS)
    if model.task in tasks:
        return None
    return FieldProblem(
        f"{pointer}/task", f"{model.task} has no logits to distil", f"use one of {', '.join(tasks)}"
    )


def _beside(
    request: SimulationRequest, spec: Distillation, teacher: ModelDescription | None
) -> Iterator[FieldProblem]:
    try:
        shape = logits_shape(request.model, request.workload)
        taught = None if teacher is None else logits_shape(teacher, request.workload)
    except InvalidRequest:  # said already, of the model itself
        return
    if shape is None:
        yield FieldProblem(
            _ROOT, "the model's description does not tell its logits", "leave it out"
        )
        return
    if taught is not None and taught != shape:
        name = "num_labels" if len(taught) == len(shape) and _labelled(teacher) else "vocab_size"
        same_rows = taught[:-1] == shape[:-1]
        yield FieldProblem(
            _field(teacher, name) if same_rows else f"{_TEACHER}/task",
            f"the teacher's logits are {list(taught)}, the model's {list(shape)}",
            f"make it {classes(request.model, request.workload)}, as the model's"
            if same_rows
            else "choose a teacher of the same task",
        )
    if spec.top_k is not None and spec.top_k > shape[-1]:
        yield FieldProblem(
            f"{_ROOT}/top_k", f"the model has {shape[-1]} logits only", f"use at most {shape[-1]}"
        )
    if spec.hidden:
        yield from _hidden_problems(request.model, teacher, request.workload)


def _labelled(model: ModelDescription | None) -> bool:
    return isinstance(model, (TransformersModel, ArchitectureModel)) and model.task.endswith(
        "classification"
    )


def _field(teacher: ModelDescription | None, name: str) -> str:
    if isinstance(teacher, TransformersModel):
        return f"{_TEACHER}/config/{name}"
    return f"{_TEACHER}/{name}" if name == "num_labels" else f"{_TEACHER}/embedding/{name}"


def _hidden_problems(
    model: ModelDescription, teacher: ModelDescription | None, workload: Workload
) -> Iterator[FieldProblem]:
    both = (model, teacher)
    if not all(isinstance(each, TransformersModel) for each in both):
        yield FieldProblem(
            f"{_ROOT}/hidden",
            "only models of transformers give their hidden states",
            "leave it out",
        )
        return
    widths = [
        getattr(make_config(each, workload).get_text_config(), "hidden_size", None)
        for each in both
        if isinstance(each, TransformersModel)
    ]
    if widths[0] != widths[1]:
        yield FieldProblem(
            f"{_ROOT}/hidden",
            f"the teacher's hidden size is {widths[1]}, the model's {widths[0]}",
            "leave it out, or make them equal",
        )
