"""Quantities that papers print, simulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planner.check import check
from planner.devices import BUILTIN
from planner.prediction import Prediction
from planner.presets import PRESETS
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.tape import Tape
from planner.trace import trace

MIB = 2**20
Quantity = Callable[[], float]


def traced(case: dict[str, Any], device: str = "cpu") -> Tape:
    """The tape of a request."""
    asked = check(SimulationRequest.model_validate({**case, "device": device}))
    return trace(asked, BUILTIN[device])


def predicted(case: dict[str, Any], device: str = "cpu") -> Prediction:
    """The prediction of a request, of live bytes only."""
    return simulate(traced(case, device))


def million_parameters(name: str, task: str | None = None) -> Quantity:
    """Of the preset in its paper's size, with the head of another task where one is named."""
    model = PRESETS[name].description("paper").model_dump(mode="json", exclude_unset=True)

    def run() -> float:
        workload = {"mode": "inference", "sequence_length": 64}
        asked = model if task is None else {**model, "task": task}
        return predicted({"model": asked, "workload": workload}).parameter_count / 1e6

    return run


def parameter_bytes(preset: str) -> Quantity:
    """Of the preset's example in its paper's size."""

    def run() -> float:
        model = {"source": "preset", "name": preset, "size": "paper"}
        workload = {**PRESETS[preset].example_workload("paper"), "mode": "inference"}
        return predicted({"model": model, "workload": workload}).at_peak.parameters

    return run


def slope(few: dict[str, Any], many: dict[str, Any], device: str, by: float = 1) -> Quantity:
    """MiB that the second request's peak is higher, over `by`."""

    def run() -> float:
        low, high = (predicted(case, device).peak_bytes for case in (few, many))
        return (high - low) / by / MIB

    return run


def kept_mib(case: dict[str, Any], device: str = "cpu") -> Quantity:
    """What the forward of a training step leaves for its backward."""

    def run() -> float:
        tape = traced(case, device)
        first, end = tape.phase_events[tape.phases.index("step0.forward")]
        return float(tape.live_bytes[end - 1] - tape.live_bytes[first - 1]) / MIB

    return run


def kept_slope(few: dict[str, Any], many: dict[str, Any], device: str) -> Quantity:
    """MiB that the second request's forward keeps more for its backward."""
    less, more = kept_mib(few, device), kept_mib(many, device)
    return lambda: more() - less()


def cache_saved(none: dict[str, Any], whole: dict[str, Any], kept: dict[str, Any]) -> Quantity:
    """Percent of the cache's bytes, after the prompt, that the third request does not hold."""

    def run() -> float:
        held = [predicted(case).phases[0].end_bytes for case in (none, whole, kept)]
        return 100 * (held[1] - held[2]) / (held[1] - held[0])

    return run


def bits_a_weight(choice: dict[str, Any]) -> Quantity:
    """Of the linear layers that the compression takes, scales and tables included."""
    shape = {"hidden_size": 4_096, "intermediate_size": 14_336, "num_hidden_layers": 1}
    model = {
        "source": "transformers",
        "task": "text-generation",
        "config": {"model_type": "llama", **shape, "vocab_size": 1_024},
    }
    case = {"model": model, "workload": {"mode": "inference", "sequence_length": 8}}

    def run() -> float:
        whole = predicted(case)
        packed = predicted({**case, "strategy": {"compression": [choice]}})
        weights = whole.parameter_count - packed.parameter_count
        saved = _held(whole) - _held(packed)
        return 32 - 8 * saved / weights

    return run


def _held(prediction: Prediction) -> int:
    return prediction.at_peak.parameters + prediction.at_peak.buffers


def forward_gmacs(model: dict[str, Any], workload: dict[str, Any]) -> Quantity:
    """Multiplications and additions of one forward, in 10^9 pairs."""

    def run() -> float:
        inference = {**workload, "mode": "inference"}
        return predicted({"model": model, "workload": inference}).step_flops / 2e9

    return run


def block_gmacs(model: dict[str, Any], length: int) -> Quantity:
    """Of one block, where all are alike: what a network of two takes more than one of one."""

    def run() -> float:
        one, two = (
            forward_gmacs(
                {**model, "blocks": [{**model["blocks"][0], "repeat": repeat}]},
                {"sequence_length": length},
            )()
            for repeat in (1, 2)
        )
        return two - one

    return run
