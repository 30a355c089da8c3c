"""Library code that asks whether it is being traced, made to answer as in the real step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


def _never(*_: Any, **__: Any) -> bool:
    return False


@contextmanager
def rng_states_seen(appear: Callable[[Tensor, str], None]) -> Iterator[None]:
    """Report each random number generator's state that checkpointing stashes.

    The generator allocates it itself, so no op shows it (torch/random.py; 5056 bytes on the CPU).
    """
    original = torch.random.get_rng_state

    def get_rng_state() -> Tensor:
        state = original()
        appear(state, "random number generator state")
        return state

    with (
        patch.object(torch, "get_rng_state", get_rng_state),
        patch.object(torch.random, "get_rng_state", get_rng_state),
    ):
        yield


@contextmanager
def real_step_behaviour() -> Iterator[None]:
    """Within, `transformers` behaves as in eager execution on real tensors."""
    from transformers import masking_utils
    from transformers.utils import import_utils

    with ExitStack() as stack:
        _patch_assignment(stack)
        for name in ("is_tracing", "is_fake_tensor"):
            for module in (import_utils, masking_utils):
                if hasattr(module, name):
                    stack.enter_context(patch.object(module, name, _never))
        yield


def _patch_assignment(stack: ExitStack) -> None:
    """Detection losses match objects to queries with scipy, by costs that fake tensors have not.

    Any matching has the same size; objects take the queries in order.
    """
    import scipy.optimize

    original = scipy.optimize.linear_sum_assignment

    def match(costs: Any, maximize: bool = False) -> Any:
        if not isinstance(costs, FakeTensor):
            return original(costs, maximize)
        matched = np.arange(min(costs.shape))
        return matched, matched

    stack.enter_context(patch.object(scipy.optimize, "linear_sum_assignment", match))
    for name, module in list(sys.modules.items()):
        # `from scipy.optimize import ...` bound the name in those that are imported already.
        if name.startswith("transformers.") and "linear_sum_assignment" in vars(module):
            stack.enter_context(patch.object(module, "linear_sum_assignment", match))
