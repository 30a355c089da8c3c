"""Descriptions that pass every check, given to a real child: each ends in a recorded outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from planner.devices import BUILTIN
from planner.request import SimulationRequest
from profiler.executor import Executor
from profiler.limits import Limits
from tests.adversarial.bodies import gpt2, transformers

pytestmark = pytest.mark.asyncio(loop_scope="module")

CPU = BUILTIN["cpu"].model_dump(mode="json")
LONG = Limits(wall_seconds=120, memory_bytes=2**31)
SHORT = Limits(wall_seconds=2, memory_bytes=2**31)


def llama(**config: Any) -> dict[str, Any]:
    return transformers(model_type="llama", **{"num_hidden_layers": 1, **config})


@dataclass(frozen=True)
class Ends:
    """How a body ends: the type of its problem, or None where it succeeds."""

    body: dict[str, Any]
    type: str | None
    limits: Limits = LONG


TINY = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 1}
ENDS = {
    "an activation named as a function of Python": Ends(
        llama(hidden_act="os.system"), "model-build-failed"
    ),
    "an activation of a hub": Ends(
        llama(hidden_act="kernels-community/activation"), "model-build-failed"
    ),
    "positions named as an attribute": Ends(
        llama(rope_scaling={"rope_type": "__class__", "factor": 1e308}), "model-build-failed"
    ),
    "positions named as a list": Ends(
        llama(rope_parameters={"rope_type": ["a"]}), "model-build-failed"
    ),
    "names that only describe a checkpoint": Ends(
        gpt2(
            _name_or_path="../../etc/passwd",
            architectures=["os.system"],
            tokenizer_class="os.system",
            prefix="\u202ex\nERROR forged",
        ),
        None,
    ),
    "10^14 parameters": Ends(
        transformers(model_type="mixtral", num_local_experts=2**20, num_hidden_layers=2),
        "limit-exceeded",
    ),
    "attention over 2^28 patches": Ends(
        transformers(
            "image-classification",
            model_type="vit",
            image_size=2**14,
            patch_size=1,
            **{"num_hidden_layers": 1, **TINY},
        ),
        "limit-exceeded",
    ),
    "4096 layers": Ends(
        llama(num_hidden_layers=4096, num_key_value_heads=1, **TINY), "limit-exceeded", SHORT
    ),
    "1024 micro-batches": Ends(
        transformers(
            model_type="gpt2",
            n_layer=1,
            workload={"sequence_length": 8, "gradient_accumulation_steps": 1024},
        ),
        "limit-exceeded",
        SHORT,
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(tmp_path_factory):
    async with Executor(scratch=tmp_path_factory.mktemp("adversarial")) as executor:
        await executor.ready()
        yield executor


@pytest.mark.parametrize("name", ENDS)
async def test_what_passes_the_checks_ends_in_bounds(executor, name):
    case = ENDS[name]
    SimulationRequest.model_validate(case.body)
    outcome = await executor.simulate(case.body, CPU, limits=case.limits)
    assert (outcome.problem or {}).get("type") == case.type, outcome
    assert outcome.status == ("failed" if case.type else "succeeded")
    assert outcome.exit.peak_rss_bytes < 2 * 2**30
    assert len(outcome.exit.log) <= 4_096
    assert len(str(outcome.problem)) < 5_000
