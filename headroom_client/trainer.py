"""A callback for `transformers.Trainer`: trains by a stored plan, and reports what it really took.

    from headroom_client import Client
    from headroom_client.trainer import HeadroomCallback

    trainer = Trainer(model, args, train_dataset=..., callbacks=[HeadroomCallback("plan_...")])
    trainer.train()

What training took is stored as a run of the plan (or simulation), beside what was predicted. This
module imports torch and transformers; the rest of the package does not.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from headroom_client.errors import ClientError
from headroom_client.memory_meter import MemoryMeter
from headroom_client.resources import Plan, Run, Simulation
from headroom_client.synchronous import Client
from planner.apply import apply_strategy
from planner.errors import StrategyMismatch
from planner.strategy import Strategy
from planner.versions import versions

_log = logging.getLogger(__name__)
_MEASURED_STEPS = 2
"""As a prediction has: only in the second step the optimizer's state exists throughout."""
_TIMED_STEPS = 5


class HeadroomCallback(TrainerCallback):
    """Applies a plan's strategy before training, measures the first steps, and reports a run.

    Of one process on one device. What of a strategy is the script's to do (micro-batches,
    attention, precision) is checked when training begins; the error names what is missing.

    Attributes:
        run: what was reported, after training; None where the service could not be reached, which
            is logged and ends no training.
    """

    def __init__(self, of: Plan | Simulation | str, client: Client | None = None) -> None:
        """Fetch the plan or the simulation.

        Args:
            of: a plan or a simulation, or the id of one.
            client: default: of the service that HEADROOM_SERVER names.

        Raises:
            ClientError: there is no such plan or simulation, or nothing fits the plan's budget.
        """
        self._client = client or Client()
        self._subject = self._fetched(of) if isinstance(of, str) else of
        self._strategy = _strategy_of(self._subject)
        self._meter: MemoryMeter | None = None
        self._seconds: list[float] = []
        self._step_began = 0.0
        self.run: Run | None = None

    def _fetched(self, resource_id: str) -> Plan | Simulation:
        if resource_id.startswith("plan_"):
            return self._client.get_plan(resource_id)
        return self._client.get_simulation(resource_id)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **given: Any,
    ) -> None:
        """Apply the strategy.

        Raises:
            StrategyMismatch: the model is not the plan's, or the script has to be changed first.
        """
        model, optimizer = given["model"], given["optimizer"]
        _check_script(self._strategy, self._subject.request["workload"], args, model)
        # Accelerate wraps the optimizer in one that holds it.
        apply_strategy(model, self._strategy, getattr(optimizer, "optimizer", optimizer))
        self._meter = MemoryMeter(args.device)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Begin to measure, or to take the time."""
        meter = self._meter
        if meter is not None and state.global_step == 0:
            meter.start(given["model"], given["optimizer"])
        _synchronize(args.device)
        self._step_began = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """End the measurement after two steps; take the time of the next ones."""
        _synchronize(args.device)
        if state.global_step == _MEASURED_STEPS and self._meter is not None:
            self._meter.stop()
        elif _MEASURED_STEPS < state.global_step <= _MEASURED_STEPS + _TIMED_STEPS:
            self._seconds.append(time.perf_counter() - self._step_began)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Report what was measured."""
        meter = self._meter
        if meter is None:
            return
        meter.stop()
        measured = meter.measured()
        if measured is None:
            _log.warning("nothing was measured: %s", "; ".join(meter.notes) or "no step was made")
            return
        if self._seconds:
            measured["step_seconds"] = sorted(self._seconds)[len(self._seconds) // 2]
        environment = {
            "versions": versions(),
            "device": meter.device_name,
            "reported_by": "transformers.Trainer",
        }
        try:
            self.run = self._client.report(self._subject, measured, environment)
        except ClientError as error:
            _log.warning("what was measured could not be reported: %s", error)


def _strategy_of(subject: Plan | Simulation) -> Strategy:
    if isinstance(subject, Plan):
        if subject.strategy is None:
            raise ClientError(f"{subject.id} has no strategy: nothing fits its budget, or not yet")
        return Strategy.model_validate(subject.strategy)
    return Strategy.model_validate(subject.request.get("strategy") or {})


def _check_script(
    strategy: Strategy, workload: dict[str, Any], args: TrainingArguments, model: Any
) -> None:
    """Refuse a script that does not do what the strategy leaves to it."""
    parts = strategy.micro_batches
    wanted = {
        "per_device_train_batch_size": workload["batch_size"] // parts,
        "gradient_accumulation_steps": (workload.get("gradient_accumulation_steps") or 1) * parts,
    }
    precision = strategy.precision or workload.get("precision", "fp32")
    if precision.startswith("amp-"):
        wanted[precision.removeprefix("amp-")] = True
    missing = [f"{name}={value}" for name, value in wanted.items() if getattr(args, name) != value]
    if missing:
        raise StrategyMismatch(
            f"the strategy is for TrainingArguments with {', '.join(missing)}: set them so"
        )
    attention = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if strategy.attention is not None and attention != strategy.attention:
        raise StrategyMismatch(
            f"the strategy wants attention {strategy.attention!r}: load the model with "
            f"attn_implementation={strategy.attention!r}"
        )
    if strategy.compression or strategy.optimizer_states is not None:
        raise StrategyMismatch(
            "the strategy changes weights or optimizer states, which is done before the Trainer is "
            "made: see planner.compress and the optimizer argument of Trainer"
        )


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
