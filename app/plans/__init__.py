"""Plans: the cheapest strategy that fits a budget."""
