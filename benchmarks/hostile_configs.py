"""Whether any configuration makes the model library reach for the network, a program or a file.

    PYTHONPATH=. python -m benchmarks.hostile_configs --out /tmp/hostile.json
    PYTHONPATH=. python -m benchmarks.hostile_configs --types gpt2 llava --build

For every model type that `GET /v1/models` lists, each suspicious field is given to the checks of a
request alone; with `--build`, those that pass are then built into the model, together, on torch's
meta device. Python's audit events (PEP 578) tell what was touched meanwhile: sockets, programs,
unpickling, files that are written, and files read outside of the installation. It ends with status
1 where there was anything, or where a check ended by another error than its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.audit import Audit
from planner.catalogue import model_types_by_task
from planner.check import check
from planner.errors import HeadroomError
from planner.models.build import build_model
from planner.models.fields import class_of, default_config
from planner.request import SimulationRequest, TransformersModel

ELSEWHERE = "/tmp/headroom-hostile/elsewhere"
_LONGEST_BUILD_S = 60
# Fields that some class of the library or of a checkpoint has, and what an attacker would write.
_FIELDS: dict[str, Any] = {
    **dict.fromkeys(
        (
            *("_name_or_path", "name_or_path", "tokenizer_class", "processor_class"),
            *("tokenizer_name_or_path", "feature_extractor_type", "image_processor_type"),
            *("backbone", "architecture", "timm_model_name", "pretrained_model_name_or_path"),
            *("checkpoint", "checkpoint_files", "weights", "vocab_file", "merges_file"),
            *("cache_dir", "local_files_only", "revision", "code_revision", "subfolder", "token"),
            *("index_name", "index_path", "passages_path", "dataset", "_adapter_model_path"),
            *("attn_implementation", "_attn_implementation", "experts_implementation"),
            *("hidden_act", "hidden_activation", "activation_function", "problem_type"),
            *("transformers_weights", "base_model_name_or_path", "parent_library"),
        ),
        ELSEWHERE,
    ),
    "auto_map": {"AutoConfig": f"{ELSEWHERE}--module.Class"},
    "trust_remote_code": True,
    "custom_pipelines": {"a": {"impl": "module.Class"}},
    "custom_generate": ELSEWHERE,
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "use_pretrained_backbone": True,
    "use_timm_backbone": True,
    "use_dummy_dataset": False,
    "architectures": [ELSEWHERE],
    "backbone_config": {"model_type": "timm_backbone", "backbone": ELSEWHERE},
    "text_config": {"model_type": ELSEWHERE},
    "vision_config": {"_name_or_path": ELSEWHERE, "auto_map": {"AutoModel": "module.Class"}},
    "torch_dtype": "os.system",
    "base_model_tp_plan": {"layers.*": ELSEWHERE},
    "rope_scaling": {"rope_type": ELSEWHERE},
}


@dataclass
class Found:
    """Of one model type."""

    model_type: str
    refused: int = 0
    accepted: list[str] = field(default_factory=list)
    built: str | None = None
    touched: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)


def examine(model_type: str, task: str, audit: Audit, *, build: bool) -> Found:
    """Try every field, and the model of all that passed."""
    found = Found(model_type)
    audit.touched.clear()
    default_config(class_of(model_type))
    with audit.watch():
        for name, value in _FIELDS.items():
            try:
                _checked(model_type, task, {name: value})
            except HeadroomError:
                found.refused += 1
            except Exception as error:  # a client would get a 500 for it
                found.crashed.append(f"{name}: {type(error).__name__}: {error}"[:300])
            else:
                found.accepted.append(name)
        if build:
            accepted = {name: _FIELDS[name] for name in found.accepted}
            found.built = _build(model_type, task, accepted)
    found.touched = list(audit.touched)
    return found


def _checked(model_type: str, task: str, config: dict[str, Any]) -> SimulationRequest:
    model = {
        "source": "transformers",
        "task": task,
        "config": {"model_type": model_type, **config},
    }
    return check(SimulationRequest.model_validate({"model": model}))


def _build(model_type: str, task: str, config: dict[str, Any]) -> str:
    """How building ended, in a word or by the library's own."""
    signal.alarm(_LONGEST_BUILD_S)
    try:
        request = _checked(model_type, task, config)
        assert isinstance(request.model, TransformersModel)
        build_model(request.model, request.workload, device="meta")
    except (HeadroomError, TimeoutError) as error:
        return str(error)[:200]
    finally:
        signal.alarm(0)
    return "built"


def _too_long(*_: object) -> None:
    raise TimeoutError(f"took longer than {_LONGEST_BUILD_S} s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine the model types asked for, and say what was touched."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--types", nargs="*", help="default: all")
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGALRM, _too_long)
    types = {name: task for task, names in model_types_by_task().items() for name in names}
    importlib.import_module("planner.preload")  # torch makes itself folders when first used
    audit = Audit()
    results = []
    for name in sorted(types):
        if options.types is None or name in options.types:
            results.append(examine(name, types[name], audit, build=options.build))
            last = results[-1]
            print(name, last.built or "", *last.touched, *last.crashed, sep="  ", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps([vars(found) for found in results], indent=1))
    touched = sum(bool(found.touched) for found in results)
    crashed = sum(bool(found.crashed) for found in results)
    print(f"{len(results)} model types, {len(_FIELDS)} fields each:")
    print(f"{touched} touched something, checks of {crashed} failed by themselves")
    return 1 if touched or crashed else 0


if __name__ == "__main__":
    raise SystemExit(main())
