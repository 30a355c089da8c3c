"""No kernel takes more scratch than its bound, which decides whether it is asked."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from planner.step import execute, prepare
from planner.tracing.kernel_bounds import bound_bytes
from planner.tracing.kernel_calls import KernelCall, freeze
from planner.tracing.probe import _ASKED, ask
from tests.planner.models.layers.networks import NETWORKS
from tests.planner.models.layers.requests import request

SLACK = 1 << 20  # of every bound; what these networks take must fit without


class Silent:
    def enter(self, phase):
        pass

    def exit(self, phase):
        pass


class Collect(TorchDispatchMode):
    """The calls of kernels with scratch of their own choosing."""

    def __init__(self):
        super().__init__()
        self.calls = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _ASKED:
            grad_mode = torch.is_grad_enabled()
            keywords = freeze(tuple(kwargs.items()))
            self.calls.add(KernelCall(func, freeze(args), keywords, 0, 0, grad_mode))
        return func(*args, **kwargs)


@pytest.mark.parametrize("mode", ["train", "inference"])
@pytest.mark.parametrize("name", NETWORKS)
def test_scratch_is_below_its_bound(name, mode):
    job = prepare(request(NETWORKS[name], mode=mode))
    with Collect() as collected:
        execute(job, Silent(), steps=1)
    for call, size in ask(sorted(collected.calls, key=str)).items():
        assert size <= bound_bytes(call) - SLACK, call
