"""Measuring a context, with stand-ins for the driver and for torch's CUDA."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from profiler import nvml
from profiler.context import measure_context
from profiler.executor import Executor
from tests.profiler.fake_nvml import MIB, Card, FakeNvml

UUID = "aaaa-1"


class FakeCuda:
    """What `measure_context` asks of `torch.cuda`, and what it costs on the fake card."""

    def __init__(self, monkeypatch, card, *, charged=True):
        self.card, self.charged, self.reserved = card, charged, 0
        properties = SimpleNamespace(uuid=UUID)
        made, products = torch.ones, []
        for name, stand_in in {
            "init": lambda: None,
            "synchronize": self.synchronize,
            "get_device_properties": lambda: properties,
            "memory_reserved": lambda: self.reserved,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)
        monkeypatch.setattr(torch, "ones", lambda *size, dtype, device: made(*size, dtype=dtype))
        for name in ("mm", "addmm"):
            real = getattr(torch, name)

            def product(*matrices, real=real):
                products.append(matrices[-1].dtype)
                return real(*matrices)

            monkeypatch.setattr(torch, name, product)
        self.products = products

    def synchronize(self):
        """The context is there; once there were products, so are cuBLAS and its workspaces."""
        used = 300 * MIB
        if self.products:
            self.reserved = 40 * MIB
            used += 120 * MIB + self.reserved
        self.card.used = 4 * MIB + used
        if self.charged:
            self.card.processes[os.getpid()] = used


@pytest.fixture
def card(monkeypatch):
    card = Card(f"GPU-{UUID}")
    monkeypatch.setattr(nvml, "pynvml", FakeNvml(card))
    return card


def test_the_context_is_what_the_driver_charges_less_what_the_allocator_holds(card, monkeypatch):
    cuda = FakeCuda(monkeypatch, card)
    found = measure_context()
    assert found["bare_bytes"] == 300 * MIB
    assert found["context_bytes"] == 420 * MIB
    assert found["notes"] == []
    assert set(cuda.products) == {torch.float32, torch.float16}


def test_where_processes_are_not_told_apart_the_whole_cards_gain_counts_and_is_noted(
    card, monkeypatch
):
    FakeCuda(monkeypatch, card, charged=False)
    found = measure_context()
    assert found["context_bytes"] == 420 * MIB
    assert "whole card" in found["notes"][0]


def test_without_the_drivers_answer_nothing_is_made_up(monkeypatch):
    FakeCuda(monkeypatch, Card("GPU-none"))
    monkeypatch.setattr(nvml, "pynvml", None)
    found = measure_context()
    assert found["bare_bytes"] is found["context_bytes"] is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
async def test_without_a_card_the_child_fails_and_the_executor_goes_on():
    async with Executor() as executor:
        for _ in range(2):
            outcome = await executor.context()
            assert outcome.status == "failed"
            assert outcome.problem["detail"]
