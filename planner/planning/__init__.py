"""Finding the cheapest strategy that fits a budget, and certifying it."""
