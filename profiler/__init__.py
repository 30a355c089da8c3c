"""Real runs: the warm process and its children, measuring on CPU and CUDA, the executor."""
