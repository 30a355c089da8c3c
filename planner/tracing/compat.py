"""Library code that asks whether it is being traced, made to answer as in the real step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch


def _never(*_: Any, **__: Any) -> bool:
    return False


@contextmanager
def real_step_behaviour() -> Iterator[None]:
    """Within, `transformers` behaves as in eager execution on real tensors."""
    from transformers import masking_utils
    from transformers.utils import import_utils

    with ExitStack() as stack:
        for name in ("is_tracing", "is_fake_tensor"):
            for module in (import_utils, masking_utils):
                if hasattr(module, name):
                    stack.enter_context(patch.object(module, name, _never))
        yield
