"""The state of random number generators and autocast, to run a forward again as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.checkpoint import get_device_states, set_device_states


class ForwardState:
    """What a forward depends on besides its inputs, as `torch.utils.checkpoint` keeps it: the
    generators of the host and of the inputs' device, and autocast.

    Autocast's cache of weights is off in replays, and must be in the forward too where it runs
    without gradients: what is cached there has none (pytorch/pytorch#48049).
    """

    def __init__(self, x: Tensor) -> None:
        self._device_type = x.device.type
        self._autocast = torch.is_autocast_enabled(self._device_type)
        self._dtype = torch.get_autocast_dtype(self._device_type)
        self._host_state = torch.get_rng_state()
        self._devices, self._device_states = get_device_states(x)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Autocast as in the forward, without its cache."""
        with torch.autocast(
            self._device_type, dtype=self._dtype, enabled=self._autocast, cache_enabled=False
        ):
            yield

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Within, everything draws and casts as in the forward; generators go on afterwards."""
        with (
            torch.random.fork_rng(self._devices, device_type=self._fork_type()),
            self.autocast(),
        ):
            torch.set_rng_state(self._host_state)
            if self._devices:
                set_device_states(self._devices, self._device_states, device_type=self._device_type)
            yield

    def _fork_type(self) -> str:
        return self._device_type if self._devices else "cuda"
