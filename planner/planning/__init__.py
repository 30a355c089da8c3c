"""Finding the cheapest strategy that fits a budget, and certifying it."""

from planner.planning.requests import make_plan

__all__ = ["make_plan"]
