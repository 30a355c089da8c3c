"""What can be asked: presets, tasks, model types and techniques, JSON-ready."""

from __future__ import annotations

from typing import Any

from planner.models.tasks import TASKS, class_names
from planner.presets import PRESETS

Entry = dict[str, Any]

_SIZES = ("small", "paper")


def presets() -> list[Entry]:
    """Every preset: name, task, sizes, paper, and for each size an example that can be POSTed."""
    return [
        {
            "name": name,
            "task": preset.task,
            "model_type": preset.model_type,
            "summary": preset.summary,
            "paper": preset.paper,
            "sizes": {
                "small": "runs on a CPU in seconds",
                "paper": preset.paper_name,
            },
            "examples": {
                size: {
                    "model": {"source": "preset", "name": name, "size": size},
                    "workload": preset.example_workload(size),
                }
                for size in _SIZES
            },
        }
        for name, preset in PRESETS.items()
    ]


def tasks() -> list[Entry]:
    """Every task, with one line on what it is."""
    return [{"name": name, "summary": spec.summary} for name, spec in TASKS.items()]


def model_types_by_task() -> dict[str, list[str]]:
    """Task -> model types of the installed library that can be built for it."""
    return {task: sorted(class_names(task)) for task in TASKS}


def _technique(
    name: str, field: str, values: list[str], saves: str, costs: str, math: str
) -> Entry:
    return {
        "name": name,
        "field": field,
        "values": values,
        "saves": saves,
        "costs": costs,
        "mathematics": math,
    }


_SAME = "unchanged up to rounding"
_CHANGED = "changed"


def techniques() -> list[Entry]:
    """What a request can choose to take less memory: where, at what cost, and if it is exact."""
    return [
        _technique(
            "gradient checkpointing",
            "/strategy/checkpointing",
            ["none", "full"],
            "activations inside each repeated block; only its input stays",
            "one more forward of every block: about a third more compute in a step",
            "unchanged: the same numbers are computed twice",
        ),
        _technique(
            "attention implementation",
            "/model/attention",
            ["eager", "sdpa"],
            "sdpa: the heads x sequence x sequence scores where a fused kernel serves",
            "nothing",
            _SAME,
        ),
        _technique(
            "mixture-of-experts implementation",
            "/model/experts",
            ["eager", "grouped_mm", "batched_mm"],
            "eager: no copies sorted by expert; batched_mm: no sorting, but weights for each token",
            "eager: one small product for each expert",
            _SAME,
        ),
        _technique(
            "precision",
            "/workload/precision",
            ["fp32", "bf16", "fp16", "amp-bf16", "amp-fp16"],
            "bf16, fp16: half of parameters, gradients, optimizer state and activations;"
            " amp: half of most activations, plus casted copies of weights",
            "range or mantissa; amp-fp16 scales the loss",
            _CHANGED,
        ),
        _technique(
            "low-rank adapters",
            "/model/lora",
            ["r", "alpha", "dropout", "target_modules", "bias"],
            "gradients and optimizer state of everything but the adapters (arXiv 2106.09685)",
            "two small products for each adapted module",
            f"{_CHANGED}: only the adapters learn",
        ),
        _technique(
            "freezing",
            "/model/freeze",
            ["glob patterns of parameter names"],
            "gradients and optimizer state of the frozen parameters, and what only they need saved",
            "nothing",
            f"{_CHANGED}: frozen parameters do not learn",
        ),
        _technique(
            "gradient accumulation",
            "/workload/gradient_accumulation_steps",
            ["1 to 1024"],
            "activations: a batch passes in micro-batches of batch_size",
            "smaller kernels; gradients stay alive between micro-batches",
            "unchanged up to rounding, batch statistics aside",
        ),
        _technique(
            "optimizer",
            "/workload/optimizer",
            _optimizers(),
            "state per parameter: two tensors (adamw, adam, nadam ...), one (sgd with momentum,"
            " rmsprop, adagrad), none (sgd), a row and a column (adafactor)",
            "convergence differs",
            _CHANGED,
        ),
        _technique(
            "optimizer loop",
            "/workload/optimizer/foreach",
            ["foreach", "fused"],
            "foreach false: temporaries the size of all parameters; fused: no temporaries at all",
            "foreach false: one small kernel for each parameter",
            _SAME,
        ),
        _technique(
            "key-value cache",
            "/workload/cache",
            ["dynamic", "static"],
            "dynamic: grows with the text, but is copied as it grows; static: allocated once",
            "static: room for the longest text from the start",
            "unchanged",
        ),
    ]


def _optimizers() -> list[str]:
    from planner.models.optimizers import OPTIMIZERS

    return list(OPTIMIZERS)
