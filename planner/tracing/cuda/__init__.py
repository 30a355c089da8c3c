"""A CUDA device simulated on a host without one: its dispatch, on fake tensors."""
