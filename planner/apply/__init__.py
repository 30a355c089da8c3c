"""Carrying a strategy out on any `torch.nn.Module`, with stock PyTorch means, and undoing it."""

from planner.apply.application import apply_strategy, remove_strategy

__all__ = ["apply_strategy", "remove_strategy"]
