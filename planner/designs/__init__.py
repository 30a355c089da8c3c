"""Searching a space of designs: architectures, workloads and devices."""
