"""Models of `transformers`: configurations, building, and the inputs of a step."""
