"""Sweeps: a simulation of every combination of some values."""
