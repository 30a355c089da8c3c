"""Models of `transformers` and graphs of layers: building them, and the inputs of a step."""
