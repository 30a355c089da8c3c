"""The callback in a real Trainer on the CPU; the service answers from a script."""

from __future__ import annotations

import json

import httpx2
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from headroom_client import Client, ClientError
from headroom_client.trainer import HeadroomCallback
from planner import simulate
from planner.errors import StrategyMismatch
from tests.documents.blocks import run_by

CONFIG = {
    "model_type": "gpt2",
    "n_layer": 2,
    "n_embd": 64,
    "n_head": 2,
    "vocab_size": 500,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
REQUEST = {
    "model": {"source": "transformers", "config": CONFIG},
    "workload": {"batch_size": 2, "sequence_length": 64},
}
STRATEGY = {"units": [{"module": f"transformer.h.{i}", "action": "recompute"} for i in (0, 1)]}


class Service:
    """Has one simulation, and keeps what is reported."""

    def __init__(self, strategy=None, away=False):
        self.reported = []
        self._request = {**REQUEST, "strategy": strategy or {}}
        self._away = away

    def client(self):
        http = httpx2.Client(base_url="http://test", transport=httpx2.MockTransport(self._answer))
        return Client(http=http, retries=0)

    def _answer(self, request):
        job = {"id": "sim_1", "status": "succeeded", "created_at": "2026-11-24T12:00:00Z"}
        if request.method == "GET":
            return httpx2.Response(200, json={**job, "request": self._request, "versions": {}})
        if self._away:
            raise httpx2.ConnectError("away")
        self.reported.append(json.loads(request.content))
        run = {"labels": {}, "predicted": {}, "relative_error": 0.1}
        return httpx2.Response(201, json={**job, "id": "run_1", **run})


def prepared(tmp_path, steps=4, **arguments):
    """What a training script has at hand: model, arguments and data."""
    torch.manual_seed(0)
    ids = torch.randint(500, (16, 64))
    data = [{"input_ids": row, "labels": row} for row in ids]
    given = {"per_device_train_batch_size": 2, "max_steps": steps, "report_to": [], **arguments}
    options = TrainingArguments(
        str(tmp_path),
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **given,
    )
    return GPT2LMHeadModel(GPT2Config(**CONFIG)), options, data


def train(service, tmp_path, steps=4, **arguments):
    callback = HeadroomCallback("sim_1", service.client())
    model, options, data = prepared(tmp_path, steps, **arguments)
    Trainer(model, options, train_dataset=data, callbacks=[callback]).train()
    return callback


def test_the_example_of_the_documentation_trains_and_reports(tmp_path, monkeypatch):
    ((block,),) = run_by(__file__).values()
    service = Service(STRATEGY)
    monkeypatch.setattr("headroom_client.trainer.Client", service.client)
    model, options, data = prepared(tmp_path, steps=2)
    names = {"Trainer": Trainer, "model": model, "args": options, "dataset": data}
    exec(compile(block.text.replace("plan_...", "sim_1"), str(block), "exec"), names)
    assert service.reported[0]["measured"]["peak_bytes"] > 0


def test_what_training_took_is_reported(tmp_path):
    service = Service()
    callback = train(service, tmp_path)
    assert callback.run.id == "run_1"
    (report,) = service.reported
    assert report["simulation_id"] == "sim_1"
    assert report["environment"]["reported_by"] == "transformers.Trainer"
    assert report["measured"]["step_seconds"] > 0
    predicted = simulate(REQUEST).peak_bytes
    # The Trainer clips gradients by their norm, which the simulated step does not.
    assert report["measured"]["peak_bytes"] == pytest.approx(predicted, rel=0.05)


def test_the_strategy_is_applied(tmp_path):
    plain, planned = Service(), Service(STRATEGY)
    train(plain, tmp_path, steps=2)
    train(planned, tmp_path, steps=2)
    first, second = (each.reported[0]["measured"]["peak_bytes"] for each in (plain, planned))
    assert second < first
    predicted = simulate({**REQUEST, "strategy": STRATEGY}).peak_bytes
    assert second == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize(
    ("strategy", "arguments", "missing"),
    [
        ({}, {"per_device_train_batch_size": 1}, "per_device_train_batch_size=2"),
        ({"micro_batches": 2}, {}, "gradient_accumulation_steps=2"),
        ({"precision": "amp-bf16"}, {}, "bf16=True"),
        ({"attention": "eager"}, {}, "attn_implementation"),
        ({"optimizer_states": "8bit"}, {}, "planner.compress"),
    ],
)
def test_a_script_that_does_not_fit_is_told_what_to_set(tmp_path, strategy, arguments, missing):
    with pytest.raises(StrategyMismatch, match=missing):
        train(Service(strategy), tmp_path, **arguments)


def test_a_service_that_is_away_ends_no_training(tmp_path, caplog):
    callback = train(Service(away=True), tmp_path, steps=2)
    assert callback.run is None
    assert "could not be reported" in caplog.text


def test_a_plan_without_strategy_cannot_be_trained_by():
    plan = {"id": "plan_1", "status": "succeeded", "created_at": "2026-11-24T12:00:00Z"}
    plan |= {"request": REQUEST, "versions": {}, "feasible": False}
    answer = httpx2.MockTransport(lambda request: httpx2.Response(200, json=plan))
    http = httpx2.Client(base_url="http://test", transport=answer)
    with pytest.raises(ClientError, match="nothing fits"):
        HeadroomCallback("plan_1", Client(http=http))
