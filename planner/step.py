"""The workload itself: build the model, its inputs and optimizer, and execute the steps.

The tracer runs this on fake tensors and a worker on real ones; nothing here knows which. `Hooks`
hear about every phase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from planner.apply import apply_strategy
from planner.architecture import ArchitectureModel
from planner.compress import compress_model
from planner.distillation.distiller import TEACHER, Distiller, stored_logits, teacher_workload
from planner.errors import StepFailed
from planner.kv_cache import KvCache
from planner.levers import effective
from planner.models.architecture.job import architecture_inputs, build_architecture
from planner.models.build import build_model
from planner.models.config import make_config
from planner.models.generation import generate
from planner.models.inputs import make_inputs
from planner.models.layers.build import build_network, network_inputs, recomputed_blocks
from planner.models.layers.description import LayersModel
from planner.models.optimizers import make_optimizer
from planner.request import ModelDescription, SimulationRequest, TransformersModel, Workload
from planner.strategy import Strategy

STEPS = 2  # only in the second does the optimizer's state exist throughout


class Hooks(Protocol):
    """What an observer of the workload implements."""

    def enter(self, phase: str) -> None:
        """A phase such as `step0.forward` begins."""

    def exit(self, phase: str) -> None:
        """The phase that was entered last ends."""


@dataclass
class Job:
    """A workload ready to execute on whatever device its tensors are."""

    workload: Workload
    model: nn.Module
    inputs: dict[str, Any]
    optimizer: torch.optim.Optimizer | None
    device_type: str
    loss: Callable[[Any], Tensor] | None = None  # of the outputs; None: the model computes it
    kv_cache: KvCache | None = None  # of generation; None: the workload's
    distiller: Distiller | None = None  # computes the loss, where the model has a teacher

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Of the model, and of a teacher beside it."""
        yield from self.model.named_parameters()
        if self.distiller is not None and self.distiller.teacher is not None:
            yield from self.distiller.teacher.named_parameters(prefix=TEACHER)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Of the model, and of a teacher beside it."""
        yield from self.model.named_buffers()
        if self.distiller is not None and self.distiller.teacher is not None:
            yield from self.distiller.teacher.named_buffers(prefix=TEACHER)

    def all_inputs(self) -> dict[str, Any]:
        """The model's inputs, and what a teacher alone is fed with or has left behind."""
        return {**(self.distiller.inputs if self.distiller is not None else {}), **self.inputs}


def prepare(request: SimulationRequest, device: str = "cpu") -> Job:
    """Build model, inputs and optimizer on `device` (under an active fake mode: on fake tensors of
    it).

    Raises:
        InvalidRequest: the description asks for what the model lacks.
        ModelBuildFailed: the library refuses the configuration.
        StrategyMismatch: the strategy names what the model lacks.
    """
    request = effective(request)
    description, workload, strategy = request.model, request.workload, request.strategy
    model, inputs, strategy, loss = _built(description, workload, strategy, device)
    optimizer = make_optimizer(model, workload.optimizer) if workload.mode == "train" else None
    if workload.mode == "train" and not strategy.is_plain:
        apply_strategy(model, strategy, optimizer)
    device_type, distiller = torch.device(device).type, _distiller(request, inputs, device)
    return Job(workload, model, inputs, optimizer, device_type, loss, strategy.kv_cache, distiller)


def _distiller(request: SimulationRequest, inputs: dict[str, Any], device: str) -> Distiller | None:
    """The teacher, fed with the model's own inputs where names are the same, or its logits."""
    spec = request.workload.distillation
    if spec is None:
        return None
    if spec.logits == "stored":
        return Distiller(spec, None, stored_logits(request, device))
    assert spec.teacher is not None
    workload = teacher_workload(request.workload)
    teacher, own, _, _ = _built(spec.teacher, workload, Strategy(), device)
    return Distiller(
        spec,
        teacher.requires_grad_(False),
        {name: inputs.get(name, tensor) for name, tensor in own.items()},
    )


def _built(
    description: ModelDescription, workload: Workload, strategy: Strategy, device: str
) -> tuple[nn.Module, dict[str, Any], Strategy, Callable[[Any], Tensor] | None]:
    """Model, inputs, what of the strategy is still to be applied, and the loss of the outputs where
    the model computes none.
    """
    own = strategy.model_copy(update={"checkpointing": "none"})
    if isinstance(description, LayersModel):
        network = build_network(description, workload, device)
        compress_model(network, strategy.compression)
        if strategy.checkpointing == "full":
            own = own.model_copy(update={"units": recomputed_blocks(description)})
        return network, network_inputs(description, workload, device), own, None
    if isinstance(description, ArchitectureModel):
        architecture = build_architecture(description, workload, strategy, device)
        loss = Tensor.mean if description.task == "feature-extraction" else None
        return architecture, architecture_inputs(description, workload, device), own, loss
    if not isinstance(description, TransformersModel):
        raise TypeError(f"unresolved model source {description.source!r}; run planner.check.check")
    config = make_config(description, workload)
    # The library's own checkpointing is enabled while building, before adapters are added.
    model = build_model(description, workload, config, strategy=strategy, device=device)
    return model, make_inputs(model, config, description, workload, device), own, None


def execute(job: Job, hooks: Hooks, steps: int = STEPS, first_step: int = 0) -> None:
    """Run the job's workload: `steps` training steps, one inference, or one generation.

    Args:
        first_step: the number of the first training step; the optimizer's state is there already
        where it is not 0.

    Raises:
        StepFailed: the model's own step raises.
    """
    try:
        if job.workload.mode == "train":
            _train(job, hooks, range(first_step, first_step + steps))
        elif job.workload.mode == "inference":
            _infer(job, hooks)
        else:
            _generate(job, hooks)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise StepFailed(f"{type(error).__name__}: {error}") from error


def run_workload(
    request: SimulationRequest, hooks: Hooks, device: str = "cpu", steps: int = STEPS
) -> None:
    """`prepare`, then `execute`."""
    execute(prepare(request, device), hooks, steps)


def _train(job: Job, hooks: Hooks, steps: range) -> None:
    assert job.optimizer is not None
    accumulation = job.workload.gradient_accumulation_steps
    scaler = _grad_scaler(job)
    for step in steps:
        for micro in range(accumulation):
            name = f"step{step}" if accumulation == 1 else f"step{step}.micro{micro}"
            _forward_backward(job, hooks, name, scaler)
        with _phase(hooks, f"step{step}.optimizer_step"):
            if scaler is None:
                job.optimizer.step()
            else:
                scaler.step(job.optimizer)
                scaler.update()
        with _phase(hooks, f"step{step}.zero_grad"):
            job.optimizer.zero_grad(set_to_none=True)


def _forward_backward(
    job: Job, hooks: Hooks, name: str, scaler: torch.amp.GradScaler | None
) -> None:
    with _phase(hooks, f"{name}.forward"):
        loss = forward(job)
        if job.workload.gradient_accumulation_steps > 1:
            loss = loss / job.workload.gradient_accumulation_steps
        if scaler is not None:
            loss = scaler.scale(loss)
    with _phase(hooks, f"{name}.backward"):
        loss.backward()  # type: ignore[no-untyped-call]
        del loss


def forward(job: Job) -> Tensor:
    """The loss of one micro-batch of the job, ready for `backward`."""
    with autocast(job):
        return _loss(job)


def _loss(job: Job) -> Tensor:
    if job.distiller is not None:
        return job.distiller.loss(job.model, job.inputs)
    # The outputs are dropped at the return, as transformers' `Trainer.compute_loss` does.
    outputs = job.model(**job.inputs)
    if job.loss is not None:
        return job.loss(outputs)
    if isinstance(outputs, Tensor):
        return outputs
    loss = getattr(outputs, "loss", None)
    return _mean_output(outputs) if loss is None else loss


def _mean_output(outputs: Any) -> Tensor:
    """The loss of models without one of their own (feature extraction): their mean output."""
    for output in outputs.values():
        if isinstance(output, Tensor) and output.is_floating_point() and output.requires_grad:
            return output.mean()
    raise ValueError(f"{type(outputs).__name__} has no output to train on")


def _infer(job: Job, hooks: Hooks) -> None:
    with torch.inference_mode(), autocast(job), _phase(hooks, "step0.forward"):
        job.model(**job.inputs)


def _generate(job: Job, hooks: Hooks) -> None:
    with torch.inference_mode(), autocast(job):
        hooks.enter("step0.prefill")
        with _second_forward_starts(job.model, lambda: _switch(hooks)) as state:
            generate(job.model, job.inputs, job.workload, job.kv_cache)
        hooks.exit("step0.decode" if state["calls"] > 1 else "step0.prefill")


def _switch(hooks: Hooks) -> None:
    hooks.exit("step0.prefill")
    hooks.enter("step0.decode")


@contextmanager
def _second_forward_starts(
    model: nn.Module, callback: Callable[[], None]
) -> Iterator[dict[str, int]]:
    """Call back when the model's forward is entered the second time: prefill is over."""
    state = {"calls": 0}

    def count(module: nn.Module, args: object) -> None:
        state["calls"] += 1
        if state["calls"] == 2:
            callback()

    handle = model.register_forward_pre_hook(count)
    try:
        yield state
    finally:
        handle.remove()


def autocast(job: Job) -> AbstractContextManager[Any]:
    """The context that the job's forward runs in, as its precision says."""
    dtype = {"amp-bf16": torch.bfloat16, "amp-fp16": torch.float16}.get(job.workload.precision)
    return nullcontext() if dtype is None else torch.autocast(job.device_type, dtype=dtype)


def _grad_scaler(job: Job) -> torch.amp.GradScaler | None:
    """fp16 autocast trains with loss scaling, as transformers' `Trainer` does; bf16 does not.

    The scale begins at 1: at torch's 2^16 the gradients of some models overflow at first, and the
    scaler skips the steps in which they do, so there would be no optimizer state to measure.
    """
    if job.workload.precision != "amp-fp16":
        return None
    return torch.amp.GradScaler(job.device_type, init_scale=1.0)


@contextmanager
def _phase(hooks: Hooks, name: str) -> Iterator[None]:
    hooks.enter(name)
    yield
    hooks.exit(name)
