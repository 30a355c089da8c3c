"""The Python client against a real service with a real worker."""

from __future__ import annotations

import asyncio

import pytest

from headroom_client import AsyncClient, Client, ServiceError
from tests.documents.blocks import run_by

TINY = {"model_type": "gpt2", "n_layer": 1, "n_embd": 32, "n_head": 2, "vocab_size": 100}
REQUEST = {
    "model": {"source": "transformers", "config": TINY},
    "workload": {"batch_size": 1, "sequence_length": 8},
}


def test_predict_run_and_look(service):
    with Client(service.url) as headroom:
        simulation = headroom.simulate(REQUEST)
        run = headroom.run(simulation)
        assert run.measured is not None
        assert simulation.prediction is not None
        assert abs(run.relative_error) < 0.01
        assert run.id in [each.id for each in headroom.list_runs(simulation_id=simulation.id)]
        assert headroom.timeline(run.id)["measured"]
        assert headroom.export(simulation.id, "graphml", depth=1).startswith(b"<?xml")
        assert headroom.graph(simulation.id, depth=1)["nodes"]
        assert headroom.workers()[0].state in ("online", "busy")
        axes = [{"pointer": "/workload/batch_size", "values": [1, 2]}]
        sweep = headroom.sweep({**REQUEST, "vary": axes})
        assert sweep.points[0].peak_bytes == simulation.prediction.peak_bytes
        with pytest.raises(ServiceError) as error:
            headroom.simulate({**REQUEST, "workload": {"batch_size": 0}})
        assert error.value.problem["errors"][0]["pointer"] == "/workload/batch_size"


def test_the_example_of_the_documentation_runs(service, monkeypatch, capsys):
    ((block,),) = run_by(__file__).values()
    monkeypatch.setenv("HEADROOM_SERVER", service.url)
    exec(compile(block.text, str(block), "exec"), {})
    assert "run_" in capsys.readouterr().out


def test_events_tell_of_what_another_asks(service):
    async def watch():
        async with AsyncClient(service.url) as headroom:
            events = headroom.events(kind="simulation", after="0")
            simulation = await headroom.simulate(REQUEST)
            async with asyncio.timeout(60):
                async for event in events:
                    if event.data["id"] == simulation.id and event.data["status"] == "succeeded":
                        return event

    assert asyncio.run(watch()).kind == "simulation"
