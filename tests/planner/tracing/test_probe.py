"""Kernels asked for their scratch."""

import time

import torch

from planner.devices import BUILTIN
from planner.tape import Category
from planner.trace import trace
from planner.tracing import probe
from planner.tracing.probe import Probes, ask
from tests.planner.requests import request

aten = torch.ops.aten


def call(func, *args, flops=0):
    probes = Probes()
    probes.note(func, args, {}, [], 0, flops)
    return next(iter(probes.ops), None)


def convolution(batch=2):
    ones = [1, 1]
    image, weight = torch.ones(batch, 16, 20, 20), torch.ones(32, 16, 3, 3)
    return call(aten.convolution.default, image, weight, None, ones, ones, ones, False, [0, 0], 1)


def test_equal_layouts_are_one_call():
    assert convolution() == convolution()
    assert convolution() != convolution(batch=3)


def test_single_precision_products_are_not_asked():
    assert call(aten.mm.default, torch.ones(4, 4), torch.ones(4, 4)) is None
    half = torch.ones(4, 4, dtype=torch.bfloat16)
    assert call(aten.mm.default, half, half) is not None


def test_a_call_answers_the_same_every_time():
    asked = [ask([convolution()])[convolution()] for _ in range(3)]
    assert asked[0] >= 0
    assert len(set(asked)) == 1


def test_calls_after_the_deadline_are_left_out():
    assert ask([convolution()], deadline=time.monotonic() - 1) == {}


def test_a_kernel_that_refuses_zeros_is_left_out():
    half = torch.ones(4, 4, dtype=torch.bfloat16)
    mismatched = call(aten.mm.default, half, torch.ones(5, 4, dtype=torch.bfloat16))
    assert ask([mismatched]) == {}


def test_what_cannot_be_asked_is_said(monkeypatch):
    monkeypatch.setattr(probe, "CALL_BYTES", 0)
    images = request("resnet", "image-classification", image_size=32)
    tape = trace(images, BUILTIN["cpu"])
    assert not (tape.storage_category == Category.workspace).any() or tape.meta["limitations"]
    assert "could not be tried out" in tape.meta["limitations"][0]


def test_probing_can_be_left_out():
    images = request("resnet", "image-classification", image_size=32)
    assert trace(images, BUILTIN["cpu"], probe=False).meta["limitations"] == []
