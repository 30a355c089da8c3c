"""Simulations: what a workload will take."""
