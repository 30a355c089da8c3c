"""Python of the documentation, with what each page takes for granted."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.documents.blocks import run_by
from tests.planner.tapes import tape_of

PAGES = run_by(__file__)
STRATEGY = {"units": [{"module": f"transformer.h.{i}", "action": "recompute"} for i in (0, 1)]}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=64, n_head=2, vocab_size=500))


def execute(page, number=0, **names):
    """Run a page's block; the names that it leaves."""
    block = PAGES[page][number]
    exec(compile(block.text, str(block), "exec"), names)
    return names


def test_every_block_has_its_test():
    assert {page: len(blocks) for page, blocks in PAGES.items()} == {
        "docs/arena.md": 1,
        "docs/compression.md": 1,
        "docs/planning.md": 2,
        "docs/quick-start.md": 1,
        "docs/recipes.md": 1,
        "docs/token-schedules.md": 1,
        "docs/upgrading.md": 1,
    }


def test_an_arena_is_packed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tape_of([0, 1, ~0, ~1], [1000, 500]).save(tmp_path / "step.tape")
    names = execute("docs/arena.md")
    assert len(names["layout"].offsets) == len(names["buffers"].ids)


def test_a_model_is_compressed(model):
    before = sum(parameter.numel() for parameter in model.parameters())
    ids = torch.randint(500, (2, 16))
    execute("docs/compression.md", model=model, batches=[{"input_ids": ids}])
    assert sum(parameter.numel() for parameter in model.parameters()) < before
    model(input_ids=ids)


def test_a_strategy_is_applied_and_removed(model):
    types = [type(module) for module in model.modules()]
    execute("docs/planning.md", model=model, plan={"strategy": STRATEGY}, optimizer=None)
    assert [type(module) for module in model.modules()] == types


def test_a_model_is_planned_at_once(model):
    ids = torch.randint(500, (2, 64))
    optimizer = torch.optim.AdamW(model.parameters())
    names = execute("docs/planning.md", 1, model=model, ids=ids, optimizer=optimizer)
    assert names["plan"].feasible


def test_a_written_strategy_is_applied(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategy.json").write_text(json.dumps(STRATEGY))
    types = [type(module) for module in model.modules()]
    execute("docs/quick-start.md", model=model, optimizer=None)
    assert [type(module) for module in model.modules()] != types


def test_the_test_of_the_recipe_passes():
    execute("docs/recipes.md")["test_the_training_step_keeps_within_its_memory"]()


def test_a_dictionary_of_flexibert_is_read():
    block = PAGES["docs/token-schedules.md"][0]
    imported, _, call = block.text.partition("\n\n")
    names: dict = {}
    exec(imported, names)
    assert len(eval(call, names)["blocks"]) == 2


def test_a_revision_may_declare_what_works_with_it():
    names = execute("docs/upgrading.md")
    assert names["oldest_compatible"] < names["down_revision"] < names["revision"]
