"""Everything about a request that can be known wrong without building its model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from planner.architecture import ArchitectureModel
from planner.architecture.rules import architecture_problems
from planner.compression import compression_problems
from planner.distillation.check import distillation_problems
from planner.errors import FieldProblem, InvalidRequest
from planner.levers import effective
from planner.models.caches.check import kv_cache_problems, layer_problems, model_problems
from planner.models.config import make_config
from planner.models.fields import class_of
from planner.models.layers.description import LayersModel
from planner.models.tasks import class_names, tasks_of
from planner.plans import PlanRequest
from planner.presets import resolve
from planner.request import ModelDescription, SimulationRequest, TransformersModel, Workload
from planner.strategy import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Found = Iterator[FieldProblem]
_Trainable = TransformersModel | ArchitectureModel | LayersModel

_GENERATING = (
    *("text-generation", "text2text-generation", "image-text-to-text"),
    "automatic-speech-recognition",
)
# What of a strategy has a meaning in inference and generation too.
_OUTSIDE_TRAINING = ("checkpointing", "attention", "kv_cache", "compression")
_MODULE_NAME = re.compile(r"[A-Za-z_][\w.]*")
_PATTERN = re.compile(r"[\w.*?\[\]!-]+")


def check(request: SimulationRequest) -> SimulationRequest:
    """Return the request with its preset resolved.

    Raises:
        InvalidRequest: names every problem found, each with its field and a remedy.
    """
    request = resolve(request)
    problems = _problems(request)
    problems += distillation_problems(request, _problems)
    if problems:
        raise InvalidRequest(problems)
    return request


def _problems(request: SimulationRequest) -> list[FieldProblem]:
    """Of the model itself, with its workload."""
    model = request.model
    if isinstance(model, LayersModel):
        return _layers_problems(request, model)
    if isinstance(model, ArchitectureModel):
        return _architecture_problems(request, model)
    assert isinstance(model, TransformersModel), "presets are resolved"
    return _transformers_problems(request, model)


def _layers_problems(request: SimulationRequest, model: LayersModel) -> list[FieldProblem]:
    from planner.models.layers.check import layers_problems

    return [
        *layers_problems(request),
        *_optimizer_problems(request.workload),
        *_trained_problems(model),
        *_strategy_problems(request),
    ]


def _transformers_problems(
    request: SimulationRequest, model: TransformersModel
) -> list[FieldProblem]:
    problems: list[FieldProblem] = []
    config = _collect(problems, lambda: make_config(model, request.workload))
    problems += _task_problems(model)
    problems += _optimizer_problems(request.workload)
    problems += _trained_problems(model)
    problems += _target_problems(model)
    problems += _strategy_problems(request)
    if not any(problem.pointer in _STRUCTURAL for problem in problems):
        problems += _class_problems(request, model)
    if config is not None:
        problems += _workload_problems(config, model, request.workload)
        problems += layer_problems(request, config)
    return problems


def _architecture_problems(
    request: SimulationRequest, model: ArchitectureModel
) -> list[FieldProblem]:
    problems = [
        *architecture_problems(model, request.workload),
        *_optimizer_problems(request.workload),
        *_trained_problems(model),
        *_target_problems(model),
    ]
    if request.strategy.attention is None:
        return [*problems, *_strategy_problems(request)]
    return [
        *problems,
        FieldProblem(
            "/strategy/attention",
            "an architecture's blocks say how they attend",
            "leave it out, and change /model/blocks",
        ),
    ]


def check_plan(request: PlanRequest) -> PlanRequest:
    """Return the request with its preset resolved.

    Raises:
        InvalidRequest: names every problem found, each with its field and a remedy.
    """
    problems: list[FieldProblem] = []
    simulation = request.simulation()
    try:
        simulation = check(simulation)
    except InvalidRequest as error:
        problems += error.errors
    if request.workload.mode != "train":
        problems.append(
            FieldProblem(
                "/workload/mode",
                f"plans are made for training, not for {request.workload.mode}",
                'use "train", or POST /v1/simulations to predict it',
            )
        )
    if request.solve_for == "sequence_length" and not _has_length(request.model):
        problems.append(
            FieldProblem(
                "/solve_for",
                "no input of the model has sequence_length in its shape",
                'write "sequence_length" there, or solve for something else',
            )
        )
    if problems:
        raise InvalidRequest(problems)
    return request.model_copy(update={"model": simulation.model, "workload": simulation.workload})


def _has_length(model: ModelDescription) -> bool:
    """Whether the workload's sequence length has a meaning for the model."""
    if not isinstance(model, LayersModel):
        return True
    return any("sequence_length" in spec.shape for spec in model.inputs.values())


# With one of these wrong there is no class to ask further questions.
_STRUCTURAL = frozenset({"/model/config/model_type", "/model/task"})


def _collect(
    problems: list[FieldProblem], make: Callable[[], PreTrainedConfig]
) -> PreTrainedConfig | None:
    try:
        return make()
    except InvalidRequest as error:
        problems += error.errors
        return None


def _task_problems(model: TransformersModel) -> Found:
    model_type = model.config["model_type"]
    if class_of(model_type) is not None and model_type not in class_names(model.task):
        served = tasks_of(model_type)
        remedy = f"it supports {', '.join(served)}" if served else "choose another model type"
        yield FieldProblem("/model/task", f"{model_type} has no model for {model.task}", remedy)


def _optimizer_problems(workload: Workload) -> list[FieldProblem]:
    from planner.models.optimizer_check import optimizer_problems

    return optimizer_problems(workload.optimizer)


def _strategy_problems(request: SimulationRequest) -> Found:
    yield from kv_cache_problems(request)
    if request.workload.mode != "train" and not request.strategy.is_plain:
        plain = Strategy()
        update = {name: getattr(plain, name) for name in _OUTSIDE_TRAINING}
        if not request.strategy.model_copy(update=update).is_plain:
            yield FieldProblem(
                "/strategy",
                f"has a meaning only in training, not in {request.workload.mode}",
                "leave it out",
            )
            return
    adapted = isinstance(request.model, TransformersModel) and request.model.lora is not None
    yield from compression_problems(request.strategy.compression, adapted=adapted)
    try:
        effective(request)
    except InvalidRequest as error:
        yield from error.errors


def _trained_problems(model: _Trainable) -> Found:
    for field, patterns in (("freeze", model.freeze), ("train", model.train)):
        for index, pattern in enumerate(patterns):
            if not _PATTERN.fullmatch(pattern):
                yield FieldProblem(
                    f"/model/{field}/{index}",
                    f"{pattern!r} is no glob pattern of parameter names",
                    'use names with * and ?, such as "model.layers.0.*"',
                )
    if model.train and not model.freeze and getattr(model, "lora", None) is None:
        yield FieldProblem(
            "/model/train",
            "has a meaning only where something is frozen",
            'freeze all else with "freeze": ["*"], or leave it out',
        )


def _target_problems(model: TransformersModel | ArchitectureModel) -> Found:
    targets = model.lora.target_modules if model.lora is not None else None
    if isinstance(targets, list):
        if not targets:
            yield FieldProblem(
                "/model/lora/target_modules", "is empty", "name a module, or leave it out"
            )
        for index, target in enumerate(targets):
            if not _MODULE_NAME.fullmatch(target):
                yield FieldProblem(
                    f"/model/lora/target_modules/{index}",
                    f"{target!r} is no module name",
                    'use names such as "q_proj"',
                )


def _class_problems(request: SimulationRequest, model: TransformersModel) -> Found:
    """What the model's class says of itself; its module is imported only when something asks."""
    class_name = class_names(model.task)[model.config["model_type"]][1]
    generating = request.workload.mode == "generation"
    if generating and model.task not in _GENERATING:
        yield FieldProblem(
            "/workload/mode", f"{model.task} does not generate", 'use "train" or "inference"'
        )
    elif generating and not _model_class(class_name).can_generate():
        yield FieldProblem(
            "/workload/mode", f"{class_name} cannot generate", 'use "train" or "inference"'
        )
    if model.attention == "sdpa" and not _model_class(class_name)._supports_sdpa:
        yield FieldProblem(
            "/model/attention", f"{class_name} has no sdpa attention", 'use "eager" or leave it out'
        )
    if model.experts and not _model_class(class_name)._can_set_experts_implementation():
        yield FieldProblem(
            "/model/experts",
            f"{class_name} has no choice of experts implementation",
            "leave it out",
        )
    if request.strategy.checkpointing == "full" and request.workload.mode == "train":
        yield from _checkpointing_problems(class_name)
    if model.lora is not None:
        yield from _lora_problems(model)
    if generating and request.strategy.kv_cache is not None:
        yield from model_problems(request.strategy.kv_cache, model, _model_class(class_name))


def _checkpointing_problems(class_name: str) -> Found:
    if not _model_class(class_name).supports_gradient_checkpointing:
        yield FieldProblem(
            "/strategy/checkpointing",
            f"{class_name} does not support gradient checkpointing",
            'use "none"',
        )


def _lora_problems(model: TransformersModel) -> Found:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    model_type = model.config["model_type"]
    if model.lora is not None and model.lora.target_modules is None and model_type not in DEFAULTS:
        yield FieldProblem(
            "/model/lora/target_modules",
            f"peft has no default target modules for {model_type}",
            'name them, for example ["q_proj", "v_proj"], or use "all-linear"',
        )


def _workload_problems(
    config: PreTrainedConfig, model: TransformersModel, workload: Workload
) -> Found:
    has_target = config.is_encoder_decoder or model.task == "automatic-speech-recognition"
    if workload.target_length is not None and not has_target:
        yield FieldProblem(
            "/workload/target_length",
            f"{config.model_type} is no encoder-decoder, so its labels have the input's length",
            "leave it out",
        )


def _model_class(name: str) -> Any:
    import transformers

    return getattr(transformers, name)
