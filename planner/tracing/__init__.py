"""Executing a workload on fake tensors of the target device, and writing down what happens."""
