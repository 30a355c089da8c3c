"""Runs: what a workload really took."""
