"""Parts of requests and answers, and files of other tools, that the documentation shows."""

from __future__ import annotations

import json
import logging

import yaml

from profiler.isolation import Isolation
from tests.documents.blocks import ROOT, blocks_of, run_by
from tests.documents.commands import post

PAGES = run_by(__file__)
TINY = {"source": "transformers", "config": {"model_type": "llama", "num_hidden_layers": 2}}


def fragment(page):
    """The page's one block, as data."""
    (block,) = PAGES[page]
    return yaml.safe_load(block.text) if block.language == "yaml" else json.loads(block.text)


def test_the_error_of_the_short_form_is_what_is_answered(api):
    body = {"model": TINY, "workload": {"batch_size": 0}}
    answer = api.post("/v1/simulations", json=body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert fragment("docs/api.md") == answer.json()


def test_an_architecture_of_encoder_and_decoder_is_taken(api):
    embedding = {"kind": "tokens", "vocab_size": 500, "max_positions": 64}
    whole = {"source": "architecture", "hidden_size": 64, "embedding": embedding}
    body = {"model": whole | fragment("docs/architectures.md"), "workload": {"sequence_length": 16}}
    post(api, "/v1/simulations", body)


def test_a_placement_is_taken_where_the_device_has_the_tiers(api):
    (block,) = PAGES["docs/devices.md"]
    tiers = [{"name": "RRAM"}, {"name": "SRAM"}]
    post(
        api,
        "/v1/devices",
        {"name": "tiered", "kind": "cpu", "memory_bytes": 2**30} | {"tiers": tiers},
    )
    body = {"model": TINY | {"lora": {"r": 8}}, "workload": {}, "device": "tiered"}
    post(api, "/v1/simulations", body | json.loads(f"{{{block.text}}}"))


def test_a_cache_policy_is_taken(api):
    post(api, "/v1/simulations", {"model": TINY} | fragment("docs/kv-cache.md"))


def test_a_wrong_argument_of_a_layer_is_told_as_shown(api):
    page = ROOT / "docs" / "layers.md"
    body = json.loads(blocks_of(page)[0].text)
    arguments = body["model"]["nodes"][2]["args"]
    arguments["kernal_size"] = arguments.pop("kernel_size")
    (error, *_) = api.post("/v1/simulations", json=body).json()["errors"]
    shown = fragment("docs/layers.md")
    shown_start = shown["remedy"].removesuffix("...")
    assert error["remedy"].startswith(shown_start)
    assert {**error, "remedy": ""} == {**shown, "remedy": ""}


def test_a_request_is_logged_with_the_fields_that_are_shown(api, caplog):
    with caplog.at_level(logging.INFO, "app.access"):
        api.post("/v1/simulations", json={"model": TINY, "workload": {}})
    logged = vars(next(record for record in caplog.records if record.name == "app.access"))
    shown = fragment("docs/observability.md")
    assert shown["event"] == logged["msg"]
    assert {"route", "status", "duration_s", "client"} <= set(shown) & set(logged)


def test_the_github_workflow_gives_the_action_inputs_that_it_has():
    (job,) = fragment("docs/recipes.md")["jobs"].values()
    inputs = set(yaml.safe_load((ROOT / "action.yml").read_text())["inputs"])
    assert set(job["steps"][-1]["with"]) <= inputs


def test_isolation_has_the_layers_that_are_shown():
    assert Isolation(**fragment("docs/security.md")).system_calls == "seccomp"
