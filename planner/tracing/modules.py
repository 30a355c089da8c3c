"""Which module an op belongs to: the innermost `forward` on the stack, in backward that of the op
it differentiates.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from unittest.mock import patch

import torch
from torch import nn

_current_node = torch._C._current_autograd_node
_sequence = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]


class CallListener(Protocol):
    """Hears of every call of a named module."""

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """The module is called."""

    def exit(self, module: nn.Module, output: Any) -> None:
        """The call entered last returns."""


class ModuleStack:
    """Follows `Module.__call__`, and maps autograd nodes to the module whose forward made them."""

    def __init__(self, module_id: Any) -> None:
        self.listener: CallListener | None = None
        self._module_id = module_id
        self._ids: dict[nn.Module, int] = {}
        self._stack: list[int] = [0]
        # Autograd numbers nodes in the order of creation: a module's nodes are those numbered while
        # it was innermost.
        self._starts: list[int] = [0]
        self._owners: list[int] = [0]

    def name(self, model: nn.Module) -> None:
        """Learn the paths of a model's modules (the first path of a shared one)."""
        self._ids = {module: self._module_id(path) for path, module in model.named_modules()}

    def current(self) -> int:
        """Id of the module that the op being dispatched belongs to."""
        if len(self._stack) > 1:
            return self._stack[-1]
        node = _current_node()
        if node is None:
            return 0
        number = getattr(node, "_sequence_nr", None)
        if number is None:
            return 0
        return self._owners[bisect_right(self._starts, number()) - 1]

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow every module call inside."""
        call = nn.Module.__call__
        ids, stack, switch = self._ids, self._stack, self._switch

        def followed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            identity = ids.get(module)
            if identity is None:
                return call(module, *args, **kwargs)
            stack.append(identity)
            switch(identity)
            try:
                if self.listener is None:
                    return call(module, *args, **kwargs)
                return self._told(call, module, args, kwargs)
            finally:
                stack.pop()
                switch(stack[-1])

        with patch.object(nn.Module, "__call__", followed):
            yield

    def _told(self, call: Any, module: nn.Module, args: Any, kwargs: Any) -> Any:
        listener = self.listener
        assert listener is not None
        listener.enter(module, args, kwargs)
        output = call(module, *args, **kwargs)
        listener.exit(module, output)
        return output

    def _switch(self, owner: int) -> None:
        number = _sequence()
        if self._starts[-1] == number:
            self._owners[-1] = owner
        else:
            self._starts.append(number)
            self._owners.append(owner)
